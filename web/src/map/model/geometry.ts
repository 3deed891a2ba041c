/** What stands where on the map, in units of the map: one is one pixel at zoom 1. */

export interface Point {
  x: number;
  y: number;
}

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A node's lot. Its building stands at the lower edge, and rises with what the node has. */
export const LOT = { width: 124, height: 116 } as const;
export const ROOF = { width: 106, height: 62, strip: 17 } as const;
/** Of the front, by size of the machine. */
export const FRONTS = [12, 18, 24, 30] as const;
/** Below a building, for its caption. */
export const CAPTION = 18;
export const DISTRICT = { padding: 20, gap: 44 } as const;
/** Where units stand on a roof. */
export const DECK = { x: 6, y: ROOF.strip, width: ROOF.width - 12, height: ROOF.height - ROOF.strip - 5 } as const;

/** How tall a machine of so many cores is: one of `FRONTS`. */
export function sizeOf(cpuMilli: number): number {
  if (cpuMilli <= 2_000) return 0;
  if (cpuMilli <= 8_000) return 1;
  return cpuMilli <= 32_000 ? 2 : 3;
}

export function roofOf(lot: Point, size: number): Box {
  const front = FRONTS[size] ?? FRONTS[0];
  return {
    x: lot.x + (LOT.width - ROOF.width) / 2,
    y: lot.y + LOT.height - CAPTION - front - ROOF.height,
    width: ROOF.width,
    height: ROOF.height,
  };
}

/** Roof and front. */
export function buildingOf(lot: Point, size: number): Box {
  const roof = roofOf(lot, size);
  return { ...roof, height: ROOF.height + (FRONTS[size] ?? FRONTS[0]) };
}

export function centre(box: Box): Point {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

export function holds(box: Box, at: Point): boolean {
  return at.x >= box.x && at.x < box.x + box.width && at.y >= box.y && at.y < box.y + box.height;
}

export function meets(one: Box, other: Box): boolean {
  return (
    one.x < other.x + other.width &&
    other.x < one.x + one.width &&
    one.y < other.y + other.height &&
    other.y < one.y + one.height
  );
}

/** The box between two corners, in whatever order. */
export function between(one: Point, other: Point): Box {
  return {
    x: Math.min(one.x, other.x),
    y: Math.min(one.y, other.y),
    width: Math.abs(one.x - other.x),
    height: Math.abs(one.y - other.y),
  };
}
