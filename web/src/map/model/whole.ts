/**
 * What the camera begins with, and what "all" goes to: the whole of the map; or, on a small screen and of few nodes, what of
 * it is occupied, where that is near enough for their names.
 */
import {
  type Camera,
  type Cover,
  cornered,
  fitted,
  free,
  INSETS,
  levelOf,
  MIDDLE_FROM,
  NARROW_PX,
  type Screen,
  toScreen,
  UNCOVERED,
} from "./camera";
import type { City } from "./city";
import { type Box, DISTRICT, LOT, meets } from "./geometry";

/** Of more, what is occupied is nearly all there is. */
const FEW = 64;
/** Of a wide screen, at the lower right, what the small map lies over (Minimap.tsx and map.css), px. */
const CORNER = { width: 216, height: 156 } as const;
/** Of Nexus's yard, when nothing waits there: Nexus and its name. */
const NEXUS_WIDTH = 320;

export function wholeOf(city: City, screen: Screen, cover: Cover = UNCOVERED): Camera {
  const whole = fitted(city.layout.box, screen, undefined, cover);
  if (screen.width > NARROW_PX) return besideCorner(city, screen, cover, whole);
  if (!city.buildings.size || city.buildings.size > FEW) return whole;
  const nearer = fitted(occupied(city), screen, undefined, cover);
  return nearer.zoom >= MIDDLE_FROM ? nearer : whole;
}

/** As it is where no district would be below the small map; else as near as there is room beside or above that. */
function besideCorner(city: City, screen: Screen, cover: Cover, whole: Camera): Camera {
  const place = free(screen, cover);
  const corner = { ...CORNER, x: place.width - CORNER.width, y: place.height - CORNER.height };
  const below = city.layout.districts.some(({ box }) => {
    const { x, y } = toScreen(whole, screen, box);
    return meets({ x, y, width: box.width * whole.zoom, height: box.height * whole.zoom }, corner);
  });
  if (!below) return whole;
  const right = cover.right + CORNER.width - INSETS.right;
  const bottom = cover.bottom + CORNER.height - INSETS.bottom;
  const beside = fitted(city.layout.box, screen, undefined, { ...cover, right });
  const above = fitted(city.layout.box, screen, undefined, { ...cover, bottom });
  return above.zoom > beside.zoom ? above : beside;
}

/**
 * What the camera begins with: all; or, on a small screen where few nodes would have no names so, as much of it as has, from
 * the upper left on.
 */
export function firstOf(city: City, screen: Screen, cover: Cover = UNCOVERED): Camera {
  const whole = wholeOf(city, screen, cover);
  const small = screen.width <= NARROW_PX && city.buildings.size > 0 && city.buildings.size <= FEW;
  return small && levelOf(whole.zoom) === "far" ? cornered(occupied(city), screen, MIDDLE_FROM) : whole;
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
