/**
 * The ground of the map: the plates of districts, and Nexus. A lot where nobody stands is plain ground: nobody is missing
 * there. Out of the atlas as all else, of one shader: PixiJS's own for shapes costs a renderer in software three times what
 * all buildings do.
 */
import type { Texture } from "pixi.js";
import type { Box } from "../model/geometry";
import type { Layout } from "../model/layout";
import { nexusAt } from "../model/seating";
import { type Atlas, CORNER, HEXAGON_SPILL, type Nine } from "./atlas";
import { mix, type Palette } from "./palette";
import type { Quads } from "./quads";

/** Of a plate: its ground and its line. */
const PLATE = 18;
const NEXUS = 6;

export function drawPlates(quads: Quads, atlas: Atlas, palette: Palette, layout: Layout): void {
  const room = (layout.districts.length + 1) * PLATE + NEXUS;
  quads.clear(room);
  let at = 0;
  const put = (texture: Texture, box: Box, tint: number, alpha = 1) => {
    quads.set(at, texture, box.x, box.y, box.width, box.height, tint, alpha);
    at += 1;
  };
  const plate = (box: Box, scale: number) => {
    for (const [nine, tint] of [
      [atlas.plate, palette.plate],
      [atlas.plateLine, palette.plateLine],
    ] as const) {
      inNine(nine, box, CORNER * scale).forEach(([texture, part]) => {
        put(texture, part, tint);
      });
    }
  };
  for (const district of layout.districts) {
    plate(district.box, 1);
  }
  const { yard, yardScale: scale } = layout;
  plate(yard, scale);
  const nexus = nexusAt(layout);
  const hexagon = (texture: Texture, reach: number, below: number, tint: number, alpha = 1) => {
    const side = 2 * reach * scale * HEXAGON_SPILL;
    put(
      texture,
      { x: nexus.x - side / 2, y: nexus.y + below * scale - side / 2, width: side, height: side },
      tint,
      alpha,
    );
  };
  hexagon(atlas.hexagon, 48, 0, palette.accent, 0.05);
  hexagon(atlas.hexagon, 41, 0, palette.accent, 0.08);
  hexagon(atlas.hexagon, 32, 4, mix(palette.front, palette.shadow, 0.4));
  hexagon(atlas.hexagon, 32, 0, mix(palette.roof, palette.accent, 0.16));
  hexagon(atlas.hexagonLine, 32, 0, palette.accent);
  hexagon(atlas.hexagon, 15, 0, palette.accent, 0.95);
  quads.show(at);
  quads.commit();
}

/** Corners as they are, what is between them drawn out to a box. The pictures reach beyond it by a line's width. */
function inNine(nine: Nine, box: Box, corner: number): [Texture, Box][] {
  const spill = corner * nine.spill;
  const xs = [box.x - spill, box.x + corner, box.x + box.width - corner, box.x + box.width + spill];
  const ys = [box.y - spill, box.y + corner, box.y + box.height - corner, box.y + box.height + spill];
  const parts: [Texture, Box][] = [];
  nine.parts.forEach((texture, index) => {
    if (!texture) return;
    const [column, row] = [index % 3, Math.floor(index / 3)];
    const [x, right] = [xs[column] ?? 0, xs[column + 1] ?? 0];
    const [y, bottom] = [ys[row] ?? 0, ys[row + 1] ?? 0];
    parts.push([texture, { x, y, width: right - x, height: bottom - y }]);
  });
  return parts;
}
