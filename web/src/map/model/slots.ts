/** Where units stand within a place, such as a roof: as large as all of them can be, and whoever stands stays. */
import type { Box, Point } from "./geometry";

/** Columns and rows of a roof, by how many it is to hold. */
export const GRIDS = [
  [4, 2],
  [6, 3],
  [9, 4],
  [13, 6],
  [22, 10],
] as const;
export const MOST = 220;

export interface Grid {
  columns: number;
  rows: number;
}

export interface Spot extends Point {
  /** Of the square that a unit has. */
  size: number;
  /** Of its place, of which the square is the middle. */
  width: number;
}

/** The grid for units of which the last has slot `slots - 1`. */
export function gridFor(slots: number): Grid {
  const [columns, rows] = GRIDS.find(([across, down]) => across * down >= slots) ?? GRIDS[GRIDS.length - 1] ?? [22, 10];
  return { columns, rows };
}

/** The middle of a slot; undefined for one that there is no room for. */
export function spotOf(deck: Box, grid: Grid, slot: number): Spot | undefined {
  if (slot >= grid.columns * grid.rows) return undefined;
  const width = deck.width / grid.columns;
  const height = deck.height / grid.rows;
  return {
    x: deck.x + (slot % grid.columns) * width + width / 2,
    y: deck.y + Math.floor(slot / grid.columns) * height + height / 2,
    size: Math.min(width, height),
    width,
  };
}

/** Who stands where in one place. Slots are given in the order of asking, the lowest free one first. */
export class Slots {
  readonly #of = new Map<string, number>();
  readonly #taken: (string | undefined)[] = [];

  take(id: string): number {
    const had = this.#of.get(id);
    if (had !== undefined) return had;
    let slot = this.#taken.indexOf(undefined);
    if (slot < 0) slot = this.#taken.length;
    this.#taken[slot] = id;
    this.#of.set(id, slot);
    return slot;
  }

  leave(id: string): void {
    const slot = this.#of.get(id);
    if (slot === undefined) return;
    this.#of.delete(id);
    this.#taken[slot] = undefined;
    while (this.#taken.length && this.#taken[this.#taken.length - 1] === undefined) this.#taken.pop();
  }

  get(id: string): number | undefined {
    return this.#of.get(id);
  }

  at(slot: number): string | undefined {
    return this.#taken[slot];
  }

  ids(): IterableIterator<string> {
    return this.#of.keys();
  }

  get size(): number {
    return this.#of.size;
  }

  /** One more than the highest slot that is taken. */
  get reach(): number {
    return this.#taken.length;
  }
}
