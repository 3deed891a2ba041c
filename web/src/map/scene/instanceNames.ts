/** The name of each instance, at the foot of its place. */
import { visible } from "../../words/format";
import { free } from "../model/camera";
import { fitName, type Kin } from "../model/fitting";
import { lotsIn } from "../model/layout";
import { belowUnit, UNIT_NAME_ASIDE, UNIT_NAME_HALF, unitName } from "../model/naming";
import { slotsOf } from "../model/seating";
import type { Shown } from "./labels";
import { LEAST_PX, LINE_PX } from "./pen";

const EDGE = 10;
/** Above the lower edge there is the legend. */
const LEGEND_PX = 60;
/** A name of so many lines hides half of the smallest unit that is named. */
const MOST_LINES = 3;

export function nameInstances(shown: Shown): void {
  const { pen, look, view } = shown;
  pen.use(500, LEAST_PX);
  // A card at the lower edge lies over the legend too.
  const below = look.cover.bottom ? EDGE : LEGEND_PX;
  for (const home of [...lotsIn(look.city.layout, view), ""]) nameThoseOf(home, below, shown);
}

function nameThoseOf(home: string, below: number, { pen, look, palette, camera, screen }: Shown): void {
  const place = free(screen, look.cover);
  const ids = [...(slotsOf(look.city, home)?.ids() ?? [])];
  const dark = look.city.buildings.get(home)?.dark ?? false;
  let kin: Kin | undefined;
  for (const [slot, id] of ids.entries()) {
    const unit = look.city.units.get(id);
    const at = unit?.spot && unitName(unit.spot, camera, screen, place, below);
    if (!unit || !at) continue;
    const name = visible(unit.instance.name);
    const room = { width: at.room, lines: MOST_LINES, px: LEAST_PX, least: LEAST_PX, broken: !at.clipped };
    // Which of its agent's it is, is the last of its name.
    kin ??= { head: 0, tail: 0, names: ids.map((one) => visible(look.city.units.get(one)?.instance.name ?? "")) };
    const { lines, told } = fitName(name, room, pen.width, kin, name.length - name.lastIndexOf("-"));
    if (at.clipped && told !== "whole") continue;
    const width = Math.max(...lines.map(pen.width));
    const more = (lines.length - 1) * LINE_PX;
    const height = 2 * UNIT_NAME_HALF + more;
    const wide = width + 2 * UNIT_NAME_ASIDE;
    // Several lines stand as far below their unit as there is ground for them, and are over it with the rest alone.
    const end = Math.min(belowUnit(look.city, home, slot, camera, screen), place.height - below + UNIT_NAME_HALF);
    const own = at.y + UNIT_NAME_HALF;
    const foot = more && !at.over ? Math.min(own + more, Math.max(own - UNIT_NAME_HALF, end)) : own;
    const box = { x: at.x - wide / 2, y: foot - height, width: wide, height };
    if (!pen.take(box)) continue;
    const chosen = look.selection.instances.has(id);
    // The roof of a node that is dark is dark in both themes.
    if (chosen || more || dark || at.over) {
      // The unit below it is all seen.
      pen.ground(at.over ? box : { ...box, height: Math.min(height, end - box.y) }, palette.halo);
    }
    const plain = chosen || at.over ? palette.text : palette.soft;
    const colour = unit.tone === "bad" ? (palette.tones.bad ?? palette.text) : plain;
    lines.forEach((line, index) => {
      pen.text(line, at.x, foot - UNIT_NAME_HALF - more + index * LINE_PX, colour, "center");
    });
  }
}
