/** Where units stand within a place, such as a roof: as large as all of them can be. */
import type { Instance } from "../../api/types";
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

/** What of an instance says where it stands: all of it is for ever. */
export type Seated = Pick<Instance, "id" | "kind" | "namespace" | "workload" | "slot" | "created_ms">;

/**
 * As a list of them is read: by workload and slot, so that who takes the place of another stands beside it and has its
 * seat when that is gone. What comes and goes all day, of jobs, comes after what stays.
 */
export function inOrder(one: Seated, other: Seated): number {
  return (
    compared(one.kind, other.kind) ||
    compared(one.namespace, other.namespace) ||
    compared(one.workload, other.workload) ||
    one.slot - other.slot ||
    one.created_ms - other.created_ms ||
    compared(one.id, other.id)
  );
}

function compared(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/** Who stands where in one place: one after the other, without a gap. It follows from who is there, not from who came when. */
export class Slots {
  #row: Seated[] = [];
  readonly #here = new Set<string>();
  /** Some of the row are not here any more: they are taken out of it all at once. */
  #left = false;

  take(come: readonly Seated[]): void {
    const added = come.filter(({ id }) => !this.#here.has(id));
    if (!added.length) return;
    this.#row = [...this.#seated(), ...added].sort(inOrder);
    for (const { id } of added) this.#here.add(id);
  }

  leave(id: string): void {
    if (this.#here.delete(id)) this.#left = true;
  }

  has(id: string): boolean {
    return this.#here.has(id);
  }

  at(slot: number): string | undefined {
    return this.#seated()[slot]?.id;
  }

  *ids(): IterableIterator<string> {
    for (const { id } of this.#seated()) yield id;
  }

  get size(): number {
    return this.#here.size;
  }

  #seated(): readonly Seated[] {
    if (this.#left) this.#row = this.#row.filter(({ id }) => this.#here.has(id));
    this.#left = false;
    return this.#row;
  }
}
