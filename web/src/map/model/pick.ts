/** What is at a place of the map, and what a box holds. */
import { type Camera, NEAR_FROM, type Screen, seen } from "./camera";
import type { City } from "./city";
import { type Box, buildingOf, DISTRICT, holds, LOT, meets, type Point } from "./geometry";
import type { Selection } from "./groups";
import { lotsIn } from "./layout";
import { deckOf, gridOf, nexusAt, slotsOf } from "./seating";

export type Found =
  | { kind: "instance"; id: string }
  | { kind: "node"; id: string }
  | { kind: "district"; index: number }
  | { kind: "nexus" };

/** Pixels that a unit has to have to be hit by itself. */
const LEAST_PX = 7;

export function pick(city: City, at: Point, zoom: number): Found | undefined {
  const { yard, districts } = city.layout;
  if (holds(yard, at)) {
    const id = unitAt(city, "", at, 0);
    if (id) return { kind: "instance", id };
    const nexus = nexusAt(city.layout);
    return Math.abs(at.x - nexus.x) < yard.height / 2 ? { kind: "nexus" } : undefined;
  }
  const index = districts.findIndex((one) => holds(one.box, at));
  const district = districts[index];
  if (!district) return undefined;
  const column = Math.floor((at.x - district.box.x - DISTRICT.padding) / LOT.width);
  const row = Math.floor((at.y - district.box.y - district.header) / LOT.height);
  const inside = column >= 0 && column < district.columns && row >= 0 && row < district.rows;
  const id = inside ? district.lots[row * district.columns + column] : undefined;
  const building = id === undefined ? undefined : city.buildings.get(id);
  if (!building || id === undefined || !holds(buildingOf(building.lot, building.size), at)) {
    return { kind: "district", index };
  }
  const unit = unitAt(city, id, at, LEAST_PX / zoom);
  return unit ? { kind: "instance", id: unit } : { kind: "node", id };
}

function unitAt(city: City, home: string, at: Point, least: number): string | undefined {
  const deck = deckOf(city, home);
  if (!holds(deck, at)) return undefined;
  const grid = gridOf(city, home);
  const column = Math.floor(((at.x - deck.x) * grid.columns) / deck.width);
  const row = Math.floor(((at.y - deck.y) * grid.rows) / deck.height);
  const id = slotsOf(city, home)?.at(row * grid.columns + column);
  const spot = id === undefined ? undefined : city.units.get(id)?.spot;
  return spot && spot.size >= least ? id : undefined;
}

/** Of one that is so large its chart is shown too, px; and at the nearest, of any. */
const CHART_PX = 110;
const CHART_ZOOM = 12;

/** The instance nearest to the middle of what is seen that is looked at from so near; undefined if there is none. */
export function lookedAt(city: City, camera: Camera, screen: Screen): string | undefined {
  if (camera.zoom < NEAR_FROM) return undefined;
  const view = seen(camera, screen);
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const home of lotsIn(city.layout, view)) {
    for (const id of slotsOf(city, home)?.ids() ?? []) {
      const spot = city.units.get(id)?.spot;
      if (!spot || !holds(view, spot)) continue;
      if (spot.size * camera.zoom < CHART_PX && camera.zoom < CHART_ZOOM) continue;
      const far = Math.hypot(spot.x - camera.x, spot.y - camera.y);
      if (far >= least) continue;
      least = far;
      best = id;
    }
  }
  return best;
}

/** In a box near by the instances are meant; from afar, the nodes. */
export function inBox(city: City, box: Box, near: boolean): Selection {
  const nodes = new Set<string>();
  const instances = new Set<string>();
  for (const [id, unit] of city.units) {
    if (unit.spot && (near || !unit.home) && holds(box, unit.spot)) instances.add(id);
  }
  if (!near || !instances.size) {
    for (const [id, building] of city.buildings) {
      if (meets(box, buildingOf(building.lot, building.size))) nodes.add(id);
    }
  }
  return { nodes, instances };
}

/** Around all of a selection; undefined where nothing of it stands anywhere. */
export function boxOf(city: City, { nodes, instances }: Selection): Box | undefined {
  let [left, top] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  let [right, bottom] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const add = (box: Box) => {
    left = Math.min(left, box.x);
    top = Math.min(top, box.y);
    right = Math.max(right, box.x + box.width);
    bottom = Math.max(bottom, box.y + box.height);
  };
  for (const id of nodes) {
    const building = city.buildings.get(id);
    if (building) add(buildingOf(building.lot, building.size));
  }
  for (const id of instances) {
    const spot = city.units.get(id)?.spot;
    if (spot) add({ x: spot.x - spot.size / 2, y: spot.y - spot.size / 2, width: spot.size, height: spot.size });
  }
  return left < right ? { x: left, y: top, width: right - left, height: bottom - top } : undefined;
}

export type Direction = "left" | "right" | "up" | "down";

/** The nearest building in a direction, for arrow keys: what is aside counts twice. */
export function neighbour(city: City, from: string, direction: Direction): string | undefined {
  const start = city.layout.lotOf.get(from);
  if (!start) return city.buildings.keys().next().value;
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const [id, lot] of city.layout.lotOf) {
    const dx = lot.x - start.x;
    const dy = lot.y - start.y;
    const ahead = direction === "left" ? -dx : direction === "right" ? dx : direction === "up" ? -dy : dy;
    if (ahead <= 0) continue;
    const aside = Math.abs(direction === "left" || direction === "right" ? dy : dx);
    if (aside > ahead * 2) continue;
    const far = ahead + 2 * aside;
    if (far < least) {
      least = far;
      best = id;
    }
  }
  return best;
}

/** The first node of the next district, or of the one before. */
export function nextDistrict(city: City, from: string, by: 1 | -1): string | undefined {
  const { districts, lotOf } = city.layout;
  const settled = districts.map((district) => district.lots.find((id) => id !== undefined));
  const at = lotOf.get(from)?.district ?? (by > 0 ? -1 : 0);
  for (let steps = 1; steps <= districts.length; steps += 1) {
    const id = settled[(at + by * steps + districts.length * 2) % districts.length];
    if (id !== undefined) return id;
  }
  return undefined;
}
