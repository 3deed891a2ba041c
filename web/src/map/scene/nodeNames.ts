/** The name of each node on its roof, and a caption below it. */
import { bytes, cores, count, span, visible } from "../../words/format";
import { type Level, toolsOf, toScreen } from "../model/camera";
import type { Building } from "../model/city";
import { fitName, type Shared, sharedOf, wrapped } from "../model/fitting";
import { buildingOf, CAPTION, FRONTS, LOT, ROOF } from "../model/geometry";
import { type District, type Lot, lotsIn } from "../model/layout";
import { groundAbove, nodeName } from "../model/naming";
import { shortened } from "../model/refusals";
import type { Shown } from "./labels";
import type { Look } from "./look";
import type { Palette } from "./palette";
import { LEAST_PX, LINE_PX, type Pen } from "./pen";

const CAPTIONS_FROM = 0.95;
/** Of captions in several lines. */
const CAPTION_PX = 12;
const MOST_LINES = 3;
/** From below a building to the tallest that may stand in the next row, in units of the map. */
const CAPTION_GROUND = LOT.height - ROOF.height - (FRONTS.at(-1) ?? 0);
const EDGE = 10;
/** Below the name of a district that goes along, the names of nodes that do. */
const SECOND_EDGE = 48;
/** Between a name and what stands beside it, px. */
const BESIDE = 3;

export function nameNodes(shown: Shown, level: Level): void {
  const { look, camera, screen, view } = shown;
  const px = Math.min(level === "near" ? 16 : 13, Math.max(LEAST_PX, Math.round(9.5 * camera.zoom * 2) / 2));
  const strip = (ROOF.strip * camera.zoom) / 2;
  const tools = toolsOf(screen);
  const across = tools.width > tools.height;
  const top = across ? tools.height + EDGE : SECOND_EDGE;
  for (const id of lotsIn(look.city.layout, view)) {
    const building = look.city.buildings.get(id);
    if (!building) continue;
    const name = visible(building.node.name ?? id);
    const box = buildingOf(building.lot, building.size);
    // Beside the tools as far as they reach, and at the edge of the map below them.
    const beside = !across && toScreen(camera, screen, box).y + strip < tools.height;
    const place = nodeName(box, camera, screen, { left: beside ? tools.width : EDGE, top }, strip);
    if (place.moved) pinned(name, px, building, place, shown);
    else onRoof(name, px, building, shown);
    writeCaption(id, building, shown);
  }
}

/** In the strip of its roof; what has no room there begins above, on the ground between it and the row before. */
function onRoof(name: string, px: number, building: Building, shown: Shown): void {
  const { pen, look, palette, camera, screen } = shown;
  const { roof, lot, slots } = building;
  const at = toScreen(camera, screen, roof);
  const inset = Math.min(12, 5 * camera.zoom);
  const within = ROOF.width * camera.zoom - 2 * inset;
  const middle = at.y + (ROOF.strip * camera.zoom) / 2;
  const colour = building.dark ? palette.onDark : palette.text;
  pen.use(580, LEAST_PX);
  let fitted = fitName(name, { width: within, lines: 1, px, least: LEAST_PX }, pen.width);
  let first = middle;
  const district = look.city.layout.districts[lot.district];
  if (fitted.told !== "whole" && district) {
    const room = {
      width: LOT.width * camera.zoom - inset - BESIDE,
      lines: MOST_LINES,
      px,
      least: LEAST_PX,
      broken: true,
    };
    fitted = fitName(name, room, pen.width, sharedIn(district, look));
    const more = (fitted.lines.length - 1) * LINE_PX;
    const above = groundAbove(building, district, camera.zoom, captioned(lot, district, shown) ? CAPTION_PX : 0);
    first = middle - Math.max(0, Math.min(more, above + middle - at.y - LINE_PX / 2));
    if (first + more > middle) {
      const width = Math.max(...fitted.lines.map(pen.width)) + 6;
      pen.ground({ x: at.x + inset - 3, y: first - 7, width, height: more + 14 }, palette.halo);
    }
  }
  pen.use(580, fitted.px);
  fitted.lines.forEach((line, index) => {
    pen.text(line, at.x + inset, first + index * LINE_PX, colour);
  });
  const last = pen.width(fitted.lines.at(-1) ?? "");
  const total = slots.size ? count(slots.size) : "";
  if (!total || first + (fitted.lines.length - 1) * LINE_PX > middle) return;
  pen.use(500, Math.min(13, Math.max(LEAST_PX, px - 1)));
  if (last + 8 + pen.width(total) > within) return;
  pen.text(total, at.x + inset + within, middle, palette.soft, "right");
}

const shares = new WeakMap<District, Shared>();

/** What the names of all nodes of a district have in common. */
function sharedIn(district: District, look: Look): Shared {
  let shared = shares.get(district);
  if (!shared) {
    const nodes = district.lots.map((id) => (id === undefined ? undefined : look.city.buildings.get(id)?.node));
    shared = sharedOf(nodes.filter((node) => node !== undefined).map((node) => visible(node.name ?? node.id)));
    shares.set(district, shared);
  }
  return shared;
}

/** Whether there is a caption below the building that stands above a lot. */
function captioned({ index }: Lot, district: District, { look, palette, camera }: Shown): boolean {
  const building = look.city.buildings.get(district.lots[index - district.columns] ?? "");
  if (!building) return false;
  const [caption, colour] = captionOf(look, building, palette);
  return isTold(caption, colour, palette, camera.zoom);
}

/** Of what is well, from near alone. */
function isTold(caption: string, colour: string, palette: Palette, zoom: number): boolean {
  return caption !== "" && (zoom >= CAPTIONS_FROM || colour !== palette.faint);
}

/**
 * A name that goes along with what is seen of its node: on a ground of its own, as it lies over whatever is there. Of a
 * node of which so little is seen that others would be told as the same, none is.
 */
function pinned(
  name: string,
  px: number,
  { lot }: Building,
  place: { x: number; y: number; right: number },
  { pen, look, palette }: Shown,
): void {
  const district = look.city.layout.districts[lot.district];
  if (place.y < 0 || !district) return;
  pen.use(580, LEAST_PX);
  const room = { width: place.right - place.x - 10, lines: MOST_LINES, px, least: LEAST_PX };
  const { lines, px: size, told } = fitName(name, room, pen.width, sharedIn(district, look));
  if (told === "cut") return;
  pen.use(580, size);
  const width = Math.max(...lines.map(pen.width)) + 10;
  const height = size + 8 + (lines.length - 1) * LINE_PX;
  const box = { x: place.x - 5, y: place.y - size / 2 - 4, width, height };
  if (!pen.take(box)) return;
  pen.ground(box, palette.halo);
  lines.forEach((line, index) => {
    pen.text(line, place.x, place.y + index * LINE_PX, palette.text);
  });
}

function writeCaption(id: string, building: Building, { pen, look, palette, camera, screen }: Shown): void {
  const [caption, colour] = captionOf(look, building, palette);
  if (!isTold(caption, colour, palette, camera.zoom)) return;
  pen.use(480, LEAST_PX);
  const { roof, lot } = building;
  const at = toScreen(camera, screen, roof);
  const below = at.y + (lot.y + LOT.height - CAPTION - roof.y) * camera.zoom + Math.min(11, 9 * camera.zoom);
  const beside = LOT.width * camera.zoom - 6;
  const reasons = look.refusals?.nodes.get(id);
  const lines = reasons?.length ? reasonsIn(pen, reasons, beside, camera.zoom) : [pen.within(caption, beside)];
  lines.forEach((line, index) => {
    pen.text(line, at.x + Math.min(12, 5 * camera.zoom) / 2, below + index * CAPTION_PX, colour);
  });
}

/** Why a node refuses: in as many lines as there is ground for below it, or as much of it as can be said whole. */
function reasonsIn(pen: Pen, reasons: readonly string[], room: number, zoom: number): string[] {
  const ground = Math.floor((CAPTION_GROUND * zoom - 1.5 * CAPTION_PX) / CAPTION_PX);
  const most = Math.min(MOST_LINES, 1 + Math.max(0, ground));
  const texts = shortened(reasons).map(visible);
  for (const text of texts) {
    const lines = wrapped(text, room, most, pen.width);
    if (lines) return lines;
  }
  return [pen.within(texts.at(-1) ?? "", room)];
}

/** What is to be said of a node: why it refuses, that it is dark and since when, or how busy it is. */
function captionOf(look: Look, { node, state, dark }: Building, palette: Palette): [string, string] {
  const reasons = look.refusals?.nodes.get(node.id);
  if (reasons) {
    if (!reasons.length) return ["would take it", palette.tones.good ?? palette.text];
    return [visible(reasons.join("; ")), palette.tones.bad ?? palette.text];
  }
  if (dark) {
    const since = node.unknown_since_ms || node.since_ms;
    return [`${state.text} for ${span(look.nowMs - since)}`, palette.tones.bad ?? palette.text];
  }
  if (state.tone !== "good") {
    return [state.text === "live" ? visible(state.more) : state.text, palette.tones[state.tone] ?? palette.text];
  }
  const use = look.use(node.id);
  if (!use) return [`${cores(node.cpu_milli ?? 0)} cores`, palette.faint];
  return [`${cores(use.cpuMilli)} of ${cores(node.cpu_milli ?? 0)} cores · ${bytes(use.memoryBytes)}`, palette.faint];
}
