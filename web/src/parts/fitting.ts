/** Which columns there is room for. Pure. */

/** Between two columns, and at both edges together, px: as parts.css has it. */
export const GAP = 16;
export const PADDING = 32;

/**
 * Those of rank 0, and of the others, the lowest rank first, each that still has room: one that is too wide leaves its room
 * to those after it. In the order in which they are given.
 */
export function fitting<T extends { width: number; rank: number }>(columns: readonly T[], width: number): T[] {
  const kept = new Set(columns.filter((column) => column.rank === 0));
  let needed = [...kept].reduce((sum, column) => sum + column.width + GAP, PADDING - GAP);
  const others = columns.filter((column) => column.rank > 0).sort((one, other) => one.rank - other.rank);
  for (const column of others) {
    if (needed + GAP + column.width > width) continue;
    kept.add(column);
    needed += GAP + column.width;
  }
  return columns.filter((column) => kept.has(column));
}
