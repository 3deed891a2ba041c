/** Where names stand. Pixels of the screen, but for what says otherwise. */
import { type Camera, type Screen, toMap, toScreen } from "./camera";
import type { City } from "./city";
import type { Shape } from "./colours";
import { type Box, buildingOf, CAPTION, meets, type Point } from "./geometry";
import { type District, type Lot, lotsIn } from "./layout";
import { deckOf, gridOf, slotsOf } from "./seating";
import type { Spot } from "./slots";

/** The ring around a selected unit, of its square: between the unit and its name. */
export const HALO = 0.89;
/** How much of its square a unit fills. */
export const UNIT_SHARE = 0.74;
/** How far each shape reaches above its middle, of half of that: see `outline` in scene/atlas.ts. */
const UNIT_TOP: Record<Shape, number> = { process: 0.92, docker: 0.92, wasm: 1.12, sandbox: 1, other: 1.08 };
/** What a unit has to have to be named. */
export const UNIT_NAME_PX = 54;
/** Half of the height of a unit's name, with its ground. */
export const UNIT_NAME_HALF = 7;
/** Of its ground, on each side. */
export const UNIT_NAME_ASIDE = 3;
/** Where in a district's header the middle of its name is. */
export const DISTRICT_NAME_AT = 0.42;

/**
 * The middle of a unit's name: at the foot of its square, or, where that is beyond the edge, at the edge while any of it is
 * seen. `place`: what of the screen nothing lies over. `clipped`: of its square some is beyond that. `over`: it stands on
 * the unit itself, whose foot is beyond the edge.
 */
export function unitName(
  spot: Spot,
  camera: Camera,
  screen: Screen,
  place: Screen,
  below: number,
): (Point & { room: number; clipped: boolean; over: boolean }) | undefined {
  const half = spot.size / 2;
  const from = toScreen(camera, screen, { x: spot.x - half, y: spot.y - half });
  const side = spot.size * camera.zoom;
  const beside = ((spot.width - spot.size) / 2) * camera.zoom;
  const left = Math.max(from.x - beside, 0);
  const right = Math.min(from.x + side + beside, place.width);
  const own = from.y + side + 1;
  const foot = Math.min(own, place.height - below);
  const room = right - left - 2 * UNIT_NAME_ASIDE;
  if (side < UNIT_NAME_PX || room < UNIT_NAME_PX / 2) return undefined;
  if (foot < UNIT_NAME_HALF || foot < from.y + UNIT_NAME_HALF) return undefined;
  return { x: (left + right) / 2, y: foot, room, clipped: right - left < side, over: foot < own };
}

/** Where what stands below a unit begins, px: the unit there, or, where there is none, the edge of the roof or the yard. */
export function belowUnit(city: City, home: string, slot: number, camera: Camera, screen: Screen): number {
  const under = slotsOf(city, home)?.at(slot + gridOf(city, home).columns);
  const unit = under === undefined ? undefined : city.units.get(under);
  const roof = city.buildings.get(home)?.roof;
  const deck = deckOf(city, home);
  const y = unit?.spot
    ? unit.spot.y - (unit.spot.size * UNIT_SHARE * UNIT_TOP[unit.shape]) / 2
    : Math.max(deck.y + deck.height, roof ? roof.y + roof.height : 0);
  return toScreen(camera, screen, { x: 0, y }).y;
}

/** Where a node's name begins: on its roof, or, where that is beyond the edge, at the edge as long as the roof is seen. */
export function nodeName(
  roof: Box,
  camera: Camera,
  screen: Screen,
  edges: { left: number; top: number },
  strip: number,
) {
  const at = toScreen(camera, screen, roof);
  const right = Math.min(at.x + roof.width * camera.zoom, screen.width);
  const foot = at.y + roof.height * camera.zoom;
  const y = Math.min(Math.max(at.y + strip, edges.top), foot - strip);
  const x = Math.max(at.x, edges.left);
  return { x, y, right, foot, moved: x > at.x || y > at.y + strip };
}

/** The ground between a roof and what is above it, px: the building of the row before, with its caption, or all to the upper edge. */
export function groundAbove(
  { roof, lot }: { roof: Box; lot: Lot },
  district: District,
  zoom: number,
  captionPx: number,
): number {
  if (lot.index < district.columns) return (roof.y - district.box.y) * zoom;
  const ground = (roof.y - lot.y + CAPTION) * zoom;
  return captionPx ? ground - Math.min(CAPTION * zoom, captionPx) : ground;
}

/** Whether a box on the screen lies over a building that is not the one it is of. */
export function liesOver(place: Box, own: string, city: City, camera: Camera, screen: Screen): boolean {
  const from = toMap(camera, screen, place);
  const box = { ...from, width: place.width / camera.zoom, height: place.height / camera.zoom };
  return lotsIn(city.layout, box).some((id) => {
    const building = id === own ? undefined : city.buildings.get(id);
    return building !== undefined && meets(box, buildingOf(building.lot, building.size));
  });
}
