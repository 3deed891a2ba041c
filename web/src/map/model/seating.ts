/** Where the units of each place stand: on the roof of their node, or beside Nexus. */
import type { Changes, City } from "./city";
import { type Box, DECK, type Point } from "./geometry";
import type { Layout } from "./layout";
import { type Grid, gridFor, MOST, type Slots, spotOf } from "./slots";

/** Instances that are looked at, or seated, at one go. */
export const PART = 1_000;

export function slotsOf(city: City, home: string): Slots | undefined {
  return home ? city.buildings.get(home)?.slots : city.yard;
}

/**
 * Give all of some places their spots. The order of creation is the order in which a page that is opened anew seats them.
 */
export function* seat(city: City, crowded: ReadonlySet<string>, changes: Changes): Generator<void, void> {
  const come: { id: string; slots: Slots; createdMs: number }[] = [];
  for (const id of changes.units) {
    const unit = city.units.get(id);
    const slots = unit && crowded.has(unit.home) ? slotsOf(city, unit.home) : undefined;
    if (slots && slots.get(id) === undefined) come.push({ id, slots, createdMs: unit?.instance.created_ms ?? 0 });
  }
  come.sort((one, other) => one.createdMs - other.createdMs || (one.id < other.id ? -1 : 1));
  for (const { id, slots } of come) slots.take(id);
  if (come.length > PART) yield;
  let spreadOut = 0;
  for (const home of crowded) {
    spread(city, home, changes);
    spreadOut += slotsOf(city, home)?.size ?? 0;
    if (spreadOut < PART) continue;
    spreadOut = 0;
    yield;
  }
}

/** Where each of one place stands, now that so many do. */
function spread(city: City, home: string, changes: Changes): void {
  const slots = slotsOf(city, home);
  if (!slots) return;
  const deck = deckOf(city, home);
  const grid = home ? gridFor(slots.reach) : yardGrid(slots.reach);
  for (const id of slots.ids()) {
    const unit = city.units.get(id);
    if (!unit) continue;
    const spot = spotOf(deck, grid, slots.get(id) ?? MOST);
    if (unit.spot && spot && unit.spot.x === spot.x && unit.spot.y === spot.y && unit.spot.size === spot.size) continue;
    unit.spot = spot;
    changes.units.add(id);
  }
}

function yardGrid(reach: number): Grid {
  const rows = reach <= 24 ? 2 : reach <= 96 ? 4 : 8;
  return { rows, columns: rows * 6 };
}

/** The ground that the units of a place stand on. */
export function deckOf(city: City, home: string): Box {
  if (home) {
    const roof = city.buildings.get(home)?.roof ?? { x: 0, y: 0, width: 0, height: 0 };
    return { x: roof.x + DECK.x, y: roof.y + DECK.y, width: DECK.width, height: DECK.height };
  }
  const { yard, yardScale: scale } = city.layout;
  return {
    x: yard.x + 150 * scale,
    y: yard.y + 34 * scale,
    width: yard.width - 166 * scale,
    height: yard.height - 46 * scale,
  };
}

export function gridOf(city: City, home: string): Grid {
  const reach = slotsOf(city, home)?.reach ?? 0;
  return home ? gridFor(reach) : yardGrid(reach);
}

/** Where Nexus stands. */
export function nexusAt(layout: Layout): Point {
  return { x: layout.yard.x + 72 * layout.yardScale, y: layout.yard.y + layout.yard.height / 2 };
}
