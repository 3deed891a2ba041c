/**
 * Names, on a canvas above the picture, in whole pixels and always large enough to read. What has room for no name at one
 * level has one at the next: districts from afar, nodes from the middle on, instances near by; and from afar whatever is in
 * trouble, selected or pointed at.
 */
import { count, plural, visible } from "../../words/format";
import { type Camera, type Level, levelOf, type Screen, seen, toolsOf, toScreen } from "../model/camera";
import type { Building } from "../model/city";
import { type Fitted, fitName, type Kin, kinOf } from "../model/fitting";
import { type Box, buildingOf, DISTRICT, meets, type Point } from "../model/geometry";
import { type District, type Layout, NOWHERE } from "../model/layout";
import { liesOver, DISTRICT_NAME_AT as NAME_AT } from "../model/naming";
import { nexusAt } from "../model/seating";
import { nameInstances } from "./instanceNames";
import type { Look } from "./look";
import { nameNodes } from "./nodeNames";
import { hex, type Palette } from "./palette";
import { LEAST_PX, LINE_PX, Pen } from "./pen";

/** What is named, in which colours, as seen from where. */
export interface Shown {
  pen: Pen;
  look: Look;
  palette: Palette;
  camera: Camera;
  screen: Screen;
  /** What of the map is seen. */
  view: Box;
  /** By node: what there is room for of its name, which is another with another zoom or layout alone. */
  fits: Map<string, Fitted>;
  /** By district that is named: where its name ends. */
  feet: Map<District, number>;
}

/** From afar at most so many nodes are named, and on a small screen one for so many square pixels: names hide what is below. */
const AFAR = 60;
const AFAR_EACH_PX = 16_000;
/** How high a district's header is that has room for how many nodes there are, px. */
const COUNTS_FROM = 14;
const EDGE = 10;
/** Of the name of a district that has no room for it in one. */
const MOST_LINES = 3;

export class Labels {
  readonly #pen: Pen;
  #fits = new Map<string, Fitted>();
  #fitted: { zoom: number; layout?: Layout } = { zoom: 0 };

  constructor(readonly canvas: HTMLCanvasElement) {
    this.#pen = new Pen(canvas);
  }

  prepare(): Promise<void> {
    return this.#pen.prepare();
  }

  /** `scale`: pixels of the canvas for one of the page. */
  draw(look: Look, palette: Palette, camera: Camera, screen: Screen, scale: number, box: Box | undefined): void {
    const { layout } = look.city;
    if (this.#fitted.zoom !== camera.zoom || this.#fitted.layout !== layout) this.#fits = new Map();
    this.#fitted = { zoom: camera.zoom, layout };
    const of = { pen: this.#pen, look, palette, camera, screen, view: seen(camera, screen) };
    const shown: Shown = { ...of, fits: this.#fits, feet: new Map() };
    this.#pen.clear(screen, scale);
    const level = levelOf(camera.zoom);
    nameNexus(shown);
    // They take their places first, and are written last: what goes along with its district lies over whatever is there.
    const districts = placeDistricts(shown, level);
    if (level === "far") nameAfar(shown);
    else nameNodes(shown, level);
    if (level === "near") nameInstances(shown);
    this.#pen.flush();
    for (const write of districts) write();
    this.#pen.flush();
    outline(shown);
    if (box) marquee(shown, box);
  }
}

/** Around what is selected, at the cursor or pointed at: as thick from afar as near by. */
function outline({ pen: { context }, look, palette, camera, screen, view }: Shown): void {
  const around = (ids: Iterable<string>, colour: string, width: number): void => {
    context.beginPath();
    for (const id of ids) {
      const building = look.city.buildings.get(id);
      const box = building && buildingOf(building.lot, building.size);
      if (!box || !meets(view, box)) continue;
      const at = toScreen(camera, screen, box);
      const gap = Math.min(5, 2 + camera.zoom);
      const radius = Math.min(12, 5 * camera.zoom + gap);
      const wide = box.width * camera.zoom + 2 * gap;
      context.roundRect(at.x - gap, at.y - gap, wide, box.height * camera.zoom + 2 * gap, radius);
    }
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  };
  if (look.hover) around([look.hover], palette.faint, 1);
  if (look.selection.nodes.size) around(look.selection.nodes, hex(palette.accent), 2);
  if (look.cursor && !look.selection.nodes.has(look.cursor)) around([look.cursor], palette.soft, 1.5);
}

function nameNexus({ pen, look, palette, camera, screen }: Shown): void {
  const { yard, yardScale } = look.city.layout;
  const at = toScreen(camera, screen, nexusAt(look.city.layout));
  const top = toScreen(camera, screen, { x: yard.x + 150 * yardScale, y: yard.y + 17 * yardScale });
  if (at.x < -200 || at.y < -100 || at.y > screen.height + 100) return;
  pen.use(600, 12);
  const title = "Nexus";
  const waiting = look.city.yard.size;
  // The longest that there is room for: a number that is cut is another one.
  const texts = waiting
    ? [`${plural(waiting, "instance")} pending`, `${count(waiting)} pending`, count(waiting)]
    : [look.known ? "nothing pending" : "not known yet"];
  const width = pen.width(title);
  pen.text(title, top.x, top.y, palette.text);
  pen.use(450, 11.5);
  const room = (yard.width - 160 * yardScale) * camera.zoom - width - 12;
  const short = texts.find((text) => pen.width(text) <= room) ?? "";
  if (short) pen.text(short, top.x + width + 8, top.y, waiting ? (palette.tones.wait ?? palette.soft) : palette.faint);
  pen.keep({ x: top.x, y: top.y - 9, width: width + 8 + pen.width(short), height: 18 });
}

function placeDistricts(shown: Shown, level: Level): (() => void)[] {
  const { districts } = shown.look.city.layout;
  const order = districts.map((district, index) => ({ district, index }));
  order.sort((one, other) => other.district.rows - one.district.rows || one.index - other.index);
  const kin = kinOfDistricts(shown.look);
  return order
    .filter(({ district }) => meets(shown.view, district.box))
    .map(({ district }) => placeDistrict(district, kin, level, shown))
    .filter((write) => write !== undefined);
}

const kins = new WeakMap<Layout, Kin>();

/** The districts, which are told from one another: seldom others, and drawn with each frame that moves. */
function kinOfDistricts(look: Look): Kin {
  const { layout } = look.city;
  const kin = kins.get(layout) ?? kinOf(layout.districts.map((district) => nameOf(district, look)));
  kins.set(layout, kin);
  return kin;
}

function nameOf(district: District, look: Look): string {
  return district.name === NOWHERE ? `no ${look.city.layout.by}` : visible(district.name);
}

/** On its own ground: whole, or as much as tells it from the others. What writes it, once it has its place. */
function placeDistrict(district: District, kin: Kin, level: Level, shown: Shown): (() => void) | undefined {
  const { pen, palette, camera, screen } = shown;
  const tools = toolsOf(screen);
  const corner = toScreen(camera, screen, district.box);
  const width = district.box.width * camera.zoom;
  const height = district.box.height * camera.zoom;
  const header = district.header * camera.zoom;
  const wished = Math.round(Math.min(19, Math.max(11.5, header * 0.42)));
  const right = corner.x + width - 6;
  // It goes along as long as any of its district is seen.
  const middle = Math.min(
    Math.max(corner.y + Math.max(header * NAME_AT, wished * 0.75), EDGE + wished / 2),
    corner.y + height - wished,
  );
  const edge = middle < tools.height ? tools.width : EDGE;
  const left = Math.max(corner.x + Math.min(DISTRICT.padding * camera.zoom, 16), edge);
  const sticky = corner.y + header * NAME_AT < EDGE + wished / 2;
  // From afar the buildings begin at once below, and no name of theirs is there.
  const low = header < COUNTS_FROM;
  const ground = level === "far" || sticky ? height : header;
  pen.use(620, LEAST_PX);
  const { lines, px, told } = fitName(
    nameOf(district, shown.look),
    {
      width: right - left,
      lines: Math.max(1, Math.min(MOST_LINES, Math.floor(ground / LINE_PX))),
      px: wished,
      least: LEAST_PX,
      broken: true,
    },
    pen.width,
    kin,
  );
  // So little ground that others would be told as the same: from nearer there is more.
  if (told === "cut") return undefined;
  pen.use(620, px);
  const many = lines.length > 1;
  const high = many ? lines.length * LINE_PX : px + 2;
  const y = many && !sticky ? Math.max(middle, corner.y + high / 2) : middle;
  const own = { x: left - 2, y: y - high / 2, width: Math.max(...lines.map(pen.width)) + 4, height: high };
  if (!pen.take(own)) return undefined;
  shown.feet.set(district, own.y + own.height);
  return () => {
    if (sticky || many || low) {
      pen.ground({ x: own.x - 2, y: own.y - 2, width: own.width + 4, height: own.height + 4 }, palette.halo);
    }
    pen.use(620, px);
    lines.forEach((line, at) => {
      pen.text(line, left, y + (at - (lines.length - 1) / 2) * LINE_PX, palette.text);
    });
    if (!many && !sticky) countNodes(district, { x: left + own.width + 5, y }, right, low, shown);
  };
}

/** Beside the name of a district, as far as there is room: how many nodes it has, and how many of them are dark. */
function countNodes(district: District, at: Point, right: number, low: boolean, { pen, look, palette }: Shown): void {
  const ids = district.lots.filter((id): id is string => id !== undefined);
  pen.use(450, 11.5);
  const dark = ids.flatMap((id) => look.city.buildings.get(id) ?? []).filter((building) => building.dark);
  const tone = dark.some(({ state }) => state.tone === "bad") ? "bad" : "off";
  const more = low ? [] : [[plural(ids.length, "node"), palette.faint]];
  if (dark.length) more.push([`${count(dark.length)} dark`, palette.tones[tone] ?? palette.text]);
  let { x } = at;
  for (const [part = "", colour = palette.text] of more) {
    if (x + pen.width(part) > right) break;
    if (low) pen.ground({ x: x - 3, y: at.y - 9, width: pen.width(part) + 6, height: 18 }, palette.halo);
    pen.text(part, x, at.y + 0.5, colour);
    x += pen.width(part) + 9;
  }
}

function nameAfar({ pen, look, palette, camera, screen, view }: Shown): void {
  pen.use(560, 11);
  const most = Math.min(AFAR, Math.ceil((screen.width * screen.height) / AFAR_EACH_PX));
  let named = 0;
  const name = (id: string, building: Building, colour: string, beside = false): void => {
    const box = buildingOf(building.lot, building.size);
    if (named >= most || !meets(view, box)) return;
    const at = toScreen(camera, screen, { x: box.x + box.width / 2, y: box.y + box.height });
    const text = visible(building.node.name ?? id);
    const width = pen.width(text);
    const half = width / 2 + 6;
    const middle = Math.max(half, Math.min(at.x, screen.width - half));
    const place = { x: middle - width / 2 - 4, y: at.y + 1, width: width + 8, height: 16 };
    if (beside && liesOver(place, id, look.city, camera, screen)) return;
    if (!pen.take(place)) return;
    named += 1;
    pen.ground(place, palette.halo);
    pen.text(text, middle, at.y + 9, colour, "center");
  };
  const of = (id: string, colour: string, beside = false) => {
    const building = look.city.buildings.get(id);
    if (building) name(id, building, colour, beside);
  };
  of(look.cursor, palette.text);
  of(look.hover, palette.text);
  // The card lists those that are selected together: their names hide no other building.
  const many = look.selection.nodes.size > 1;
  for (const id of look.selection.nodes) {
    if (named >= most) break;
    of(id, palette.text, many);
  }
  for (const id of look.city.layout.lotOf.keys()) {
    if (named >= most) break;
    const building = look.city.buildings.get(id);
    if (building?.dark) of(id, palette.tones[building.state.tone] ?? palette.text);
  }
}

function marquee({ pen: { context }, palette }: Shown, box: Box): void {
  context.save();
  context.globalAlpha = 0.12;
  context.fillStyle = palette.tones.busy ?? palette.text;
  context.fillRect(box.x, box.y, box.width, box.height);
  context.globalAlpha = 0.9;
  context.strokeStyle = palette.tones.busy ?? palette.text;
  context.strokeRect(Math.round(box.x) + 0.5, Math.round(box.y) + 0.5, Math.round(box.width), Math.round(box.height));
  context.restore();
}
