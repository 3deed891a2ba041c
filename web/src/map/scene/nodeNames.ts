/** The name of each node on its roof, and a caption below it. */
import type { Node } from "../../api/types";
import { bytes, cores, count, span, visible } from "../../words/format";
import { nodeSinceMs } from "../../words/states";
import { type Level, toolsOf, toScreen } from "../model/camera";
import type { Building } from "../model/city";
import { type Fitted, fitName, type Kin, kinOf, wrapped } from "../model/fitting";
import { buildingOf, CAPTION, FRONTS, LOT, type Point, ROOF } from "../model/geometry";
import { type District, type Lot, lotsIn } from "../model/layout";
import { groundAbove, nodeName } from "../model/naming";
import { shortened } from "../model/refusals";
import { RING } from "./atlas";
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

/** Where a name goes along, how far to the right it may, and where its building ends. */
type Along = Point & { right: number; foot: number };

function nameOf(node: Node): string {
  return visible(node.name ?? node.id);
}

export function nameNodes(shown: Shown, level: Level): void {
  const { look, camera, screen, view } = shown;
  const px = Math.min(level === "near" ? 16 : 13, Math.max(LEAST_PX, Math.round(9.5 * camera.zoom * 2) / 2));
  const strip = (ROOF.strip * camera.zoom) / 2;
  const tools = toolsOf(screen);
  const across = tools.width > tools.height;
  const top = across ? tools.height + EDGE : SECOND_EDGE;
  const along: [Building, Along][] = [];
  for (const id of lotsIn(look.city.layout, view)) {
    const building = look.city.buildings.get(id);
    if (!building) continue;
    const box = buildingOf(building.lot, building.size);
    // Beside the tools as far as they reach, and at the edge of the map below them.
    const beside = !across && toScreen(camera, screen, box).y + strip < tools.height;
    const place = nodeName(box, camera, screen, { left: beside ? tools.width : EDGE, top }, strip);
    if (place.moved) along.push([building, place]);
    else onRoof(px, building, shown);
    writeCaption(id, building, shown);
  }
  // Those that go along lie over whatever is there.
  shown.pen.flush();
  for (const [building, place] of along) pinned(px, building, place, shown);
}

/** In the strip of its roof; what has no room there begins above, on the ground between it and the row before. */
function onRoof(px: number, building: Building, shown: Shown): void {
  const { pen, palette, camera, screen } = shown;
  const { roof, lot, slots, node } = building;
  const at = toScreen(camera, screen, roof);
  const inset = Math.min(12, 5 * camera.zoom);
  const within = ROOF.width * camera.zoom - 2 * inset;
  const middle = at.y + (ROOF.strip * camera.zoom) / 2;
  const district = shown.look.city.layout.districts[lot.district];
  if (!district) return;
  let fitted = shown.fits.get(node.id);
  if (!fitted) {
    fitted = fittedTo(nameOf(node), px, within, LOT.width * camera.zoom - inset - BESIDE, district, shown);
    shown.fits.set(node.id, fitted);
  }
  const { lines } = fitted;
  const more = (lines.length - 1) * LINE_PX;
  let first = middle;
  if (more) {
    const ground = groundAbove(building, district, camera.zoom, captioned(lot, district, shown) ? CAPTION_PX : 0);
    // The name of the district is in its header, or goes along at the edge, over whatever is there.
    const above = Math.min(ground, at.y - (shown.feet.get(district) ?? Number.NEGATIVE_INFINITY));
    first = middle - Math.max(0, Math.min(more, above + middle - at.y - LINE_PX / 2));
  }
  pen.use(580, fitted.px);
  // What is beyond a dark roof would not be seen in the colour that is read on it.
  const wide = Math.max(...lines.map(pen.width));
  const beyond = more > 0 || inset + wide > ROOF.width * camera.zoom;
  const grounded = first + more > middle || (building.dark && beyond);
  if (grounded) {
    pen.ground({ x: at.x + inset - 3, y: first - 7, width: wide + 6, height: more + 14 }, palette.halo);
  }
  const colour = building.dark && !grounded ? palette.onDark : palette.text;
  lines.forEach((line, index) => {
    pen.text(line, at.x + inset, first + index * LINE_PX, colour);
  });
  if (!slots.size || grounded) return;
  const last = pen.width(lines.at(-1) ?? "");
  const total = count(slots.size);
  pen.use(500, Math.min(13, Math.max(LEAST_PX, px - 1)));
  if (last + 8 + pen.width(total) > within) return;
  pen.text(total, at.x + inset + within, middle, palette.soft, "right");
}

/** On the roof in one line, or as much as there is room for on it and on the ground beside it. */
function fittedTo(
  name: string,
  px: number,
  roof: number,
  ground: number,
  district: District,
  { pen, look }: Shown,
): Fitted {
  pen.use(580, LEAST_PX);
  const fits = pen.width(name) <= roof;
  const room = { width: fits ? roof : ground, lines: MOST_LINES, px, least: LEAST_PX, broken: true };
  return fitName(name, room, pen.width, kinIn(district, look));
}

const kins = new WeakMap<District, Kin>();

/** The nodes of a district, which are told from one another. */
function kinIn(district: District, look: Look): Kin {
  let kin = kins.get(district);
  if (!kin) {
    const nodes = district.lots.map((id) => (id === undefined ? undefined : look.city.buildings.get(id)?.node));
    kin = kinOf(nodes.filter((node) => node !== undefined).map(nameOf));
    kins.set(district, kin);
  }
  return kin;
}

/** Whether there is a caption below the building that stands above a lot. */
function captioned({ index }: Lot, district: District, { look, camera }: Shown): boolean {
  const building = look.city.buildings.get(district.lots[index - district.columns] ?? "");
  return building !== undefined && isCaptioned(building, look, camera.zoom);
}

/** What is well has its caption from near alone. */
function isCaptioned({ node, state, dark }: Building, look: Look, zoom: number): boolean {
  return zoom >= CAPTIONS_FROM || dark || state.tone !== "good" || (look.refusals?.nodes.has(node.id) ?? false);
}

/**
 * A name that goes along with what is seen of its node: on a ground of its own, as it lies over whatever is there. Of a
 * node of which so little is seen that others would be told as the same, none is.
 */
function pinned(px: number, { lot, node }: Building, place: Along, { pen, look, palette }: Shown): void {
  const district = look.city.layout.districts[lot.district];
  if (place.y < 0 || !district) return;
  pen.use(580, LEAST_PX);
  const room = { width: place.right - place.x - 10, lines: MOST_LINES, px, least: LEAST_PX };
  const { lines, px: size, told } = fitName(nameOf(node), room, pen.width, kinIn(district, look));
  if (told !== "whole" && told !== "apart") return;
  pen.use(580, size);
  const width = Math.max(...lines.map(pen.width)) + 10;
  const more = (lines.length - 1) * LINE_PX;
  // Not over the caption below, unless it would leave the map above.
  const y = Math.max(size / 2 + 4, Math.min(place.y, place.foot - size / 2 - 4 - more));
  const box = { x: place.x - 5, y: y - size / 2 - 4, width, height: size + 8 + more };
  if (!pen.take(box)) return;
  pen.ground(box, palette.halo);
  lines.forEach((line, index) => {
    pen.text(line, place.x, y + index * LINE_PX, palette.text);
  });
}

function writeCaption(id: string, building: Building, { pen, look, palette, camera, screen }: Shown): void {
  if (!isCaptioned(building, look, camera.zoom)) return;
  const [caption, colour] = captionOf(look, building, palette);
  pen.use(480, LEAST_PX);
  const { roof, lot } = building;
  const at = toScreen(camera, screen, roof);
  const below = at.y + (lot.y + LOT.height - CAPTION - roof.y) * camera.zoom + Math.min(11, 9 * camera.zoom);
  const beside = LOT.width * camera.zoom - 2;
  const reasons = look.refusals?.nodes.get(id);
  // Whoever refuses or would take something has a mark around it.
  const marked = reasons ? RING * camera.zoom : 0;
  const short = building.dark && pen.width(caption) > beside ? building.state.text : caption;
  const lines = reasons?.length ? reasonsIn(pen, reasons, beside, camera.zoom) : [pen.within(short, beside)];
  const x = at.x + Math.min(12, 5 * camera.zoom) / 2;
  lines.forEach((line, index) => {
    const y = below + marked + index * CAPTION_PX;
    // Below the name of a district that goes along it would be written through.
    if (pen.isFree({ x, y: y - CAPTION_PX / 2, width: pen.width(line), height: CAPTION_PX }))
      pen.text(line, x, y, colour);
  });
}

/** Why a node refuses: in as many lines as there is ground for below it, or as much of it as can be said whole. */
function reasonsIn(pen: Pen, reasons: readonly string[], room: number, zoom: number): string[] {
  const ground = Math.floor(((CAPTION_GROUND - 2 * RING) * zoom - 1.5 * CAPTION_PX) / CAPTION_PX);
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
    return [`${state.text} for ${span(look.nowMs - nodeSinceMs(node))}`, palette.tones[state.tone] ?? palette.text];
  }
  if (state.tone !== "good") {
    return [state.text === "live" ? visible(state.more) : state.text, palette.tones[state.tone] ?? palette.text];
  }
  const use = look.use(node.id);
  if (!use) return [`${cores(node.cpu_milli ?? 0)} cores`, palette.faint];
  return [`${cores(use.cpuMilli)} of ${cores(node.cpu_milli ?? 0)} cores · ${bytes(use.memoryBytes)}`, palette.faint];
}
