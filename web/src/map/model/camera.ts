/** Which part of the map is seen. Screen is in CSS pixels from the upper left of the canvas. */
import type { Box, Point } from "./geometry";

export interface Camera {
  /** The middle of the screen, on the map. */
  x: number;
  y: number;
  /** Pixels for a unit. */
  zoom: number;
}

export interface Screen {
  width: number;
  height: number;
}

/** At the edges, what lies over the map: the card of what is selected. */
export interface Cover {
  right: number;
  bottom: number;
}

export const UNCOVERED: Cover = { right: 0, bottom: 0 };

/** What of the screen nothing lies over. */
export function free(screen: Screen, cover: Cover): Screen {
  return { width: Math.max(1, screen.width - cover.right), height: Math.max(1, screen.height - cover.bottom) };
}

/** far: districts; middle: nodes with their names; near: instances with theirs. */
export type Level = "far" | "middle" | "near";

export const MIDDLE_FROM = 0.52;
export const NEAR_FROM = 2.6;
export const ZOOM = { least: 0.02, most: 14 } as const;
/** Around what is fitted, px: there are tools and words at the edges. */
export const INSETS = { top: 14, right: 24, bottom: 58, left: 58 } as const;
/** On a narrow screen the tools lie along the upper edge, so that the width is the map's; what the colours mean has more lines. */
const NARROW_INSETS = { top: 54, right: 8, bottom: 88, left: 8 } as const;
/** As map.css has it. */
export const NARROW_PX = 620;

/** What the tools take of the upper left corner. */
export function toolsOf(screen: Screen): Screen {
  return screen.width <= NARROW_PX ? { width: 150, height: 54 } : { width: 54, height: 150 };
}

export function levelOf(zoom: number): Level {
  if (zoom >= NEAR_FROM) return "near";
  return zoom >= MIDDLE_FROM ? "middle" : "far";
}

export function toScreen(camera: Camera, screen: Screen, at: Point): Point {
  return {
    x: (at.x - camera.x) * camera.zoom + screen.width / 2,
    y: (at.y - camera.y) * camera.zoom + screen.height / 2,
  };
}

export function toMap(camera: Camera, screen: Screen, at: Point): Point {
  return {
    x: (at.x - screen.width / 2) / camera.zoom + camera.x,
    y: (at.y - screen.height / 2) / camera.zoom + camera.y,
  };
}

export function seen(camera: Camera, screen: Screen): Box {
  const width = screen.width / camera.zoom;
  const height = screen.height / camera.zoom;
  return { x: camera.x - width / 2, y: camera.y - height / 2, width, height };
}

/** The whole of a box, within the insets and beside what lies over the map, no larger than `most`. */
export function fitted(box: Box, all: Screen, most = 1.6, cover = UNCOVERED): Camera {
  const screen = free(all, cover);
  const roomy = all.width > NARROW_PX ? INSETS : NARROW_INSETS;
  const across = Math.max(1, screen.width - roomy.left - roomy.right) / Math.max(1, box.width);
  const down = Math.max(1, screen.height - roomy.top - roomy.bottom) / Math.max(1, box.height);
  const zoom = bound(Math.min(across, down, most), ZOOM.least, ZOOM.most);
  return {
    x: box.x + box.width / 2 + (roomy.right + cover.right - roomy.left) / 2 / zoom,
    y: box.y + box.height / 2 + (roomy.bottom + cover.bottom - roomy.top) / 2 / zoom,
    zoom,
  };
}

/** At a zoom, with the upper left of a box where `fitted` would have it. */
export function cornered(box: Box, screen: Screen, zoom: number): Camera {
  const { left, top } = screen.width > NARROW_PX ? INSETS : NARROW_INSETS;
  return { x: box.x + (screen.width / 2 - left) / zoom, y: box.y + (screen.height / 2 - top) / zoom, zoom };
}

/** With a place of the map in the middle of what nothing lies over. */
export function centred(at: Point, zoom: number, cover: Cover): Camera {
  return { x: at.x + cover.right / 2 / zoom, y: at.y + cover.bottom / 2 / zoom, zoom };
}

/** So far from the edges is what has to be seen, if there is room for that, px; on the left there are tools. */
const ASIDE = { left: INSETS.left, other: 24 } as const;

/** Moved as little as shows the whole of a box beside what lies over the map; its upper left, where it is larger. */
export function showing(camera: Camera, box: Box, screen: Screen, cover: Cover): Camera {
  const place = free(screen, cover);
  const at = toScreen(camera, screen, box);
  const before = screen.width > NARROW_PX ? { left: ASIDE.left, top: ASIDE.other } : NARROW_INSETS;
  const dx = shift(at.x, box.width * camera.zoom, place.width, before.left);
  const dy = shift(at.y, box.height * camera.zoom, place.height, before.top);
  return dx || dy ? { x: camera.x - dx / camera.zoom, y: camera.y - dy / camera.zoom, zoom: camera.zoom } : camera;
}

function shift(from: number, size: number, room: number, before: number): number {
  const spare = Math.max(0, room - size);
  const least = Math.min(before, spare);
  const most = Math.max(least, room - size - Math.min(ASIDE.other, spare));
  if (from < least) return least - from;
  return from > most ? most - from : 0;
}

/** Nearer or farther, with what is below the pointer staying there; no farther than `least`, unless it is that already. */
export function zoomAt(camera: Camera, screen: Screen, at: Point, factor: number, least: number = ZOOM.least): Camera {
  const zoom = bound(camera.zoom * factor, Math.max(ZOOM.least, Math.min(least, camera.zoom)), ZOOM.most);
  const fixed = toMap(camera, screen, at);
  return {
    x: fixed.x - (at.x - screen.width / 2) / zoom,
    y: fixed.y - (at.y - screen.height / 2) / zoom,
    zoom,
  };
}

/** Moved by pixels, and never so far that nothing of the map is seen. */
export function pan(camera: Camera, dx: number, dy: number, map: Box): Camera {
  return {
    x: bound(camera.x - dx / camera.zoom, map.x, map.x + map.width),
    y: bound(camera.y - dy / camera.zoom, map.y, map.y + map.height),
    zoom: camera.zoom,
  };
}

/** On the way from one to another; `part` from 0 to 1. Zoom goes by factors, so that it looks even. */
export function along(from: Camera, to: Camera, part: number): Camera {
  const eased = part < 0.5 ? 4 * part ** 3 : 1 - (-2 * part + 2) ** 3 / 2;
  const zoom = from.zoom * (to.zoom / from.zoom) ** eased;
  const same = Math.abs(to.zoom - from.zoom) < 1e-6;
  // The point on screen moves evenly, whatever the zoom does.
  const moved = same ? eased : (1 / from.zoom - 1 / zoom) / (1 / from.zoom - 1 / to.zoom);
  return { x: from.x + (to.x - from.x) * moved, y: from.y + (to.y - from.y) * moved, zoom };
}

export function bound(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
