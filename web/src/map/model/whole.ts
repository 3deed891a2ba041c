/**
 * What the camera begins with, and "all" goes to: the whole of the map; or, on a small screen and of few nodes, what of it is
 * occupied, where that is near enough for their names.
 */
import { type Camera, type Cover, fitted, MIDDLE_FROM, NARROW_PX, type Screen, UNCOVERED } from "./camera";
import type { City } from "./city";
import { type Box, DISTRICT, LOT } from "./geometry";

/** Of more, what is occupied is nearly all there is. */
const FEW = 64;
/** Of Nexus's yard, when nothing waits there: Nexus and its name. */
const NEXUS_WIDTH = 320;

export function wholeOf(city: City, screen: Screen, cover: Cover = UNCOVERED): Camera {
  const whole = fitted(city.layout.box, screen, undefined, cover);
  if (screen.width > NARROW_PX || !city.buildings.size || city.buildings.size > FEW) return whole;
  const nearer = fitted(occupied(city), screen, undefined, cover);
  return nearer.zoom >= MIDDLE_FROM ? nearer : whole;
}

/** Of the yard and of each district, without the empty lots to the right of and below those where a node stands. */
export function occupied(city: City): Box {
  const { yard, yardScale, districts, lotOf } = city.layout;
  let right = yard.x + (city.yard.size ? yard.width : Math.min(yard.width, NEXUS_WIDTH * yardScale));
  let bottom = yard.y + yard.height;
  let left = yard.x;
  for (const lot of lotOf.values()) {
    left = Math.min(left, districts[lot.district]?.box.x ?? lot.x);
    right = Math.max(right, lot.x + LOT.width + DISTRICT.padding);
    bottom = Math.max(bottom, lot.y + LOT.height + DISTRICT.padding);
  }
  return { x: left, y: yard.y, width: right - left, height: bottom - yard.y };
}
