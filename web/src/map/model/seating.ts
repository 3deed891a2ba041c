/** Where the units of each place stand: on the roof of their node, or beside Nexus. */
import type { Changes, City } from "./city";
import { type Box, DECK, type Point } from "./geometry";
import type { Layout } from "./layout";
import { type Grid, gridFor, type Seated, type Slots, type Spot, spotOf } from "./slots";

/** Instances that are looked at, or seated, at one go. */
export const PART = 1_000;

export function slotsOf(city: City, home: string): Slots | undefined {
  return home ? city.buildings.get(home)?.slots : city.yard;
}

/** Give all of some places their spots. */
export function* seat(city: City, crowded: ReadonlySet<string>, changes: Changes): Generator<void, void> {
  const come = new Map<string, Seated[]>();
  for (const id of changes.units) {
    const unit = city.units.get(id);
    if (!unit || !crowded.has(unit.home)) continue;
    const others = come.get(unit.home);
    if (others) others.push(unit.instance);
    else come.set(unit.home, [unit.instance]);
  }
  for (const [home, some] of come) slotsOf(city, home)?.take(some);
  if (changes.units.size > PART) yield;
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
  const deck = deckOf(city, home);
  const grid = gridOf(city, home);
  let slot = 0;
  for (const id of slotsOf(city, home)?.ids() ?? []) {
    const unit = city.units.get(id);
    const spot = spotOf(deck, grid, slot);
    slot += 1;
    if (!unit || alike(unit.spot, spot)) continue;
    unit.spot = spot;
    changes.units.add(id);
  }
}

function alike(one: Spot | undefined, other: Spot | undefined): boolean {
  return (
    one === other ||
    (one?.x === other?.x && one?.y === other?.y && one?.size === other?.size && one?.width === other?.width)
  );
}

function yardGrid(slots: number): Grid {
  const rows = slots <= 24 ? 2 : slots <= 96 ? 4 : 8;
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
  const slots = slotsOf(city, home)?.size ?? 0;
  return home ? gridFor(slots) : yardGrid(slots);
}

/** Where Nexus stands. */
export function nexusAt(layout: Layout): Point {
  return { x: layout.yard.x + 72 * layout.yardScale, y: layout.yard.y + layout.yard.height / 2 };
}
