/** The name of each instance, at the foot of its place. */
import { visible } from "../../words/format";
import { free } from "../model/camera";
import { fitName } from "../model/fitting";
import { lotsIn } from "../model/layout";
import { UNIT_NAME_ASIDE, UNIT_NAME_HALF, unitName } from "../model/naming";
import { slotsOf } from "../model/seating";
import type { Shown } from "./labels";
import { LEAST_PX, LINE_PX } from "./pen";

const EDGE = 10;
/** Above the lower edge there is the legend. */
const LEGEND_PX = 60;
/** A name of so many lines hides half of the smallest unit that is named. */
const MOST_LINES = 3;

export function nameInstances({ pen, look, palette, camera, screen, view }: Shown): void {
  pen.use(500, LEAST_PX);
  const place = free(screen, look.cover);
  // A card at the lower edge lies over the legend too.
  const below = look.cover.bottom ? EDGE : LEGEND_PX;
  const homes = [...lotsIn(look.city.layout, view), ""];
  const ids = homes.flatMap((home) => [...(slotsOf(look.city, home)?.ids() ?? [])]);
  for (const id of ids) {
    const unit = look.city.units.get(id);
    const at = unit?.spot && unitName(unit.spot, camera, screen, place, below);
    if (!unit || !at) continue;
    const name = visible(unit.instance.name);
    const room = { width: at.room, lines: MOST_LINES, px: LEAST_PX, least: LEAST_PX, broken: true };
    // Which of its agent's it is, is the last of its name.
    const { lines } = fitName(name, room, pen.width, undefined, name.length - name.lastIndexOf("-"));
    const width = Math.max(...lines.map(pen.width));
    const more = (lines.length - 1) * LINE_PX;
    const height = 2 * UNIT_NAME_HALF + more;
    const wide = width + 2 * UNIT_NAME_ASIDE;
    const box = { x: at.x - wide / 2, y: at.y + UNIT_NAME_HALF - height, width: wide, height };
    if (!pen.take(box)) continue;
    const chosen = look.selection.instances.has(id);
    if (chosen || more) pen.ground(box, palette.halo);
    const plain = chosen ? palette.text : palette.soft;
    const colour = unit.tone === "bad" ? (palette.tones.bad ?? palette.text) : plain;
    lines.forEach((line, index) => {
      pen.text(line, at.x, at.y - more + index * LINE_PX, colour, "center");
    });
  }
}
