/**
 * Names, on a canvas above the picture, in whole pixels and always large enough to read. What has room for no name at one
 * level has one at the next: districts always, nodes from the middle on, instances near by; and from afar whatever is in
 * trouble, selected or pointed at.
 */
import { turn } from "../../state/turn";
import { bytes, cores, count, plural, span, visible } from "../../words/format";
import { type Camera, free, type Level, levelOf, type Screen, seen, toolsOf, toScreen } from "../model/camera";
import { type Building, nexusAt, slotsOf } from "../model/city";
import { type Box, buildingOf, DISTRICT, FRONTS, LOT, meets, ROOF } from "../model/geometry";
import { lotsIn, NOWHERE } from "../model/layout";
import { inTwo, liesOver, nodeName, UNIT_NAME_HALF, unitName, within, wrapped } from "../model/naming";
import { shortened } from "../model/refusals";
import type { Look } from "./look";
import { hex, type Palette } from "./palette";

const FAMILY = '"Inter Variable", system-ui, sans-serif';
const LEAST_PX = 10.5;
/** Weights and sizes of the names that are seen from afar. */
const FIRST_FONTS = [
  [600, 12],
  [450, 11.5],
  [620, 19],
  [560, 11],
] as const;
const FIRST_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz-";
/** From afar at most so many nodes are named, and on a small screen one for so many square pixels: names hide what is below. */
const AFAR = 60;
const AFAR_EACH_PX = 16_000;
const CAPTIONS_FROM = 0.95;
/** Of captions in several lines. */
const LINE_PX = 12;
const MOST_LINES = 3;
/** From below a building to the tallest that may stand in the next row, in units of the map. */
const CAPTION_GROUND = LOT.height - ROOF.height - (FRONTS.at(-1) ?? 0);
/** How high a district's header is that has room for how many nodes there are, px. */
const COUNTS_FROM = 14;
const EDGE = 10;
/** Below the name of a district that goes along, the names of nodes that do. */
const SECOND_EDGE = 48;
/** Above the lower edge there is the legend. */
const LEGEND_PX = 60;
/** Letters of Latin scripts, with digits and marks: what is beyond may be joined or put one over another. */
const PLAIN = 0x250;

export class Labels {
  readonly #context: CanvasRenderingContext2D;
  readonly #widths = new Map<string, number>();
  /** By font, the width of each plain letter; 0: not measured yet. */
  readonly #letters = new Map<string, Float32Array>();
  #font = "";
  #scale = 1;
  #taken: Box[] = [];

  constructor(readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser gives no canvas to draw on");
    this.#context = context;
  }

  /** Measure what a first picture is named in, a font at a time: the first letter of each costs as much as all names later. */
  async prepare(): Promise<void> {
    for (const [weight, px] of FIRST_FONTS) {
      this.#font = "";
      this.#use(weight, px);
      this.#width(FIRST_LETTERS);
      await turn();
    }
  }

  resize(screen: Screen, scale: number): void {
    this.#scale = scale;
    this.canvas.width = Math.round(screen.width * scale);
    this.canvas.height = Math.round(screen.height * scale);
  }

  draw(look: Look, palette: Palette, camera: Camera, screen: Screen, box: Box | undefined): void {
    const context = this.#context;
    context.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    context.clearRect(0, 0, screen.width, screen.height);
    context.textBaseline = "middle";
    this.#font = "";
    this.#taken = [];
    const level = levelOf(camera.zoom);
    const view = seen(camera, screen);
    this.#nexus(look, palette, camera, screen);
    this.#districts(look, palette, camera, screen, view);
    if (level === "far") this.#afar(look, palette, camera, screen, view);
    else this.#nodes(look, palette, camera, screen, view, level);
    if (level === "near") this.#units(look, palette, camera, screen, view);
    this.#outlines(look, palette, camera, screen, view);
    if (box) this.#marquee(palette, box);
  }

  /** Around what is selected, at the cursor or pointed at: as thick from afar as near by. */
  #outlines(look: Look, palette: Palette, camera: Camera, screen: Screen, view: Box): void {
    const context = this.#context;
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

  #text(text: string, x: number, y: number, colour: string, align: CanvasTextAlign = "left"): void {
    this.#context.fillStyle = colour;
    this.#context.textAlign = align;
    this.#context.fillText(text, Math.round(x), Math.round(y) + 0.5);
  }

  #use(weight: number, px: number): void {
    const font = `${weight} ${px}px ${FAMILY}`;
    if (font === this.#font) return;
    this.#font = font;
    this.#context.font = font;
  }

  /** Of plain letters the sum of theirs, which is nearly it and costs a tenth; of other scripts as it is measured. */
  #width(text: string): number {
    let letters = this.#letters.get(this.#font);
    if (!letters) {
      letters = new Float32Array(PLAIN);
      this.#letters.set(this.#font, letters);
    }
    let sum = 0;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code >= PLAIN) return this.#measured(text);
      const known = letters[code];
      const width = known || this.#context.measureText(text.charAt(at)).width;
      if (!known) letters[code] = width;
      sum += width;
    }
    return sum;
  }

  #measured(text: string): number {
    const key = `${this.#font}|${text}`;
    let width = this.#widths.get(key);
    if (width === undefined) {
      if (this.#widths.size > 20_000) this.#widths.clear();
      width = this.#context.measureText(text).width;
      this.#widths.set(key, width);
    }
    return width;
  }

  #within(text: string, room: number, tail = 0): string {
    return within(text, room, (some) => this.#width(some), tail);
  }

  #free(box: Box): boolean {
    if (this.#taken.some((one) => meets(one, box))) return false;
    this.#taken.push(box);
    return true;
  }

  #nexus(look: Look, palette: Palette, camera: Camera, screen: Screen): void {
    const { yard, yardScale } = look.city.layout;
    const at = toScreen(camera, screen, nexusAt(look.city.layout));
    const top = toScreen(camera, screen, { x: yard.x + 150 * yardScale, y: yard.y + 17 * yardScale });
    if (at.x < -200 || at.y < -100 || at.y > screen.height + 100) return;
    this.#use(600, 12);
    const title = "Nexus";
    const waiting = look.city.yard.size;
    const wait = waiting === 1 ? "waits" : "wait";
    // The longest that there is room for: a number that is cut is another one.
    const texts = waiting
      ? [`${plural(waiting, "instance")} ${wait} for a node`, `${count(waiting)} ${wait}`, count(waiting)]
      : [look.known ? "nothing waits" : "not known yet"];
    const width = this.#width(title);
    this.#text(title, top.x, top.y, palette.text);
    this.#use(450, 11.5);
    const room = (yard.width - 160 * yardScale) * camera.zoom - width - 12;
    const short = texts.find((text) => this.#width(text) <= room) ?? "";
    if (short)
      this.#text(short, top.x + width + 8, top.y, waiting ? (palette.tones.wait ?? palette.soft) : palette.faint);
    this.#taken.push({ x: top.x, y: top.y - 9, width: width + 8 + this.#width(short), height: 18 });
  }

  #districts(look: Look, palette: Palette, camera: Camera, screen: Screen, view: Box): void {
    const order = look.city.layout.districts.map((district, index) => ({ district, index }));
    const tools = toolsOf(screen);
    order.sort((one, other) => other.district.rows - one.district.rows || one.index - other.index);
    for (const { district } of order) {
      if (!meets(view, district.box)) continue;
      const ids = district.lots.filter((id): id is string => id !== undefined);
      const corner = toScreen(camera, screen, district.box);
      const width = district.box.width * camera.zoom;
      const header = district.header * camera.zoom;
      let px = Math.round(Math.min(19, Math.max(11.5, header * 0.42)));
      const right = corner.x + width - 6;
      // It goes along as long as any of its district is seen.
      const y = Math.min(
        Math.max(corner.y + Math.max(header / 2, px * 0.75), EDGE + px / 2),
        corner.y + district.box.height * camera.zoom - px,
      );
      const edge = y < tools.height ? tools.width : EDGE;
      const left = Math.max(corner.x + Math.min(DISTRICT.padding * camera.zoom, 16), edge);
      const name = district.name === NOWHERE ? `no ${look.city.layout.by}` : visible(district.name);
      this.#use(620, px);
      const room = right - left;
      if (this.#width(name) > room) {
        px = LEAST_PX;
        this.#use(620, px);
      }
      const measure = (text: string) => this.#width(text);
      const lines = measure(name) > room ? inTwo(name, room, measure) : undefined;
      const titles = lines ?? [this.#within(name, room, Math.floor(name.length / 2)) || name.slice(0, 3)];
      const wide = Math.max(...titles.map(measure));
      const high = titles.length * (px + 2);
      if (!this.#free({ x: left - 2, y: y - high / 2, width: wide + 4, height: high })) continue;
      const sticky = corner.y + header / 2 < EDGE + px / 2;
      // From afar the buildings begin at once below.
      const low = header < COUNTS_FROM;
      if (sticky || lines || low) this.#ground(palette, left - 4, y - high / 2 - 2, wide + 8, high + 4);
      titles.forEach((title, at) => {
        this.#text(title, left, y + (at - (titles.length - 1) / 2) * (px + 1.5), palette.text);
      });
      if (lines) continue;
      this.#use(450, 11.5);
      const dark = ids.filter((id) => look.city.buildings.get(id)?.dark).length;
      const more = low ? [] : [[plural(ids.length, "node"), palette.faint]];
      if (dark) more.push([`${count(dark)} dark`, palette.tones.bad ?? palette.text]);
      let x = left + wide + 9;
      for (const [part = "", colour = palette.text] of more) {
        if (sticky || x + this.#width(part) > right) break;
        if (low) this.#ground(palette, x - 3, y - 9, this.#width(part) + 6, 18);
        this.#text(part, x, y + 0.5, colour);
        x += this.#width(part) + 9;
      }
    }
  }

  #ground(palette: Palette, x: number, y: number, width: number, height: number): void {
    this.#context.fillStyle = palette.halo;
    this.#context.beginPath();
    this.#context.roundRect(x, y, width, height, 5);
    this.#context.fill();
  }

  #afar(look: Look, palette: Palette, camera: Camera, screen: Screen, view: Box): void {
    this.#use(560, 11);
    const most = Math.min(AFAR, Math.ceil((screen.width * screen.height) / AFAR_EACH_PX));
    let named = 0;
    const name = (id: string, building: Building, colour: string, beside = false): void => {
      const box = buildingOf(building.lot, building.size);
      if (named >= most || !meets(view, box)) return;
      const at = toScreen(camera, screen, { x: box.x + box.width / 2, y: box.y + box.height });
      const text = visible(building.node.name ?? id);
      const width = this.#width(text);
      const half = width / 2 + 6;
      const middle = Math.max(half, Math.min(at.x, screen.width - half));
      const place = { x: middle - width / 2 - 4, y: at.y + 1, width: width + 8, height: 16 };
      if (beside && liesOver(place, id, look.city, camera, screen)) return;
      if (!this.#free(place)) return;
      named += 1;
      this.#ground(palette, place.x, place.y, place.width, place.height);
      this.#text(text, middle, at.y + 9, colour, "center");
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
    for (const [id, building] of look.city.buildings) {
      if (named >= most) break;
      if (building.dark) name(id, building, palette.tones.bad ?? palette.text);
    }
  }

  #nodes(look: Look, palette: Palette, camera: Camera, screen: Screen, view: Box, level: Level): void {
    const px = Math.min(level === "near" ? 16 : 13, Math.max(LEAST_PX, Math.round(9.5 * camera.zoom * 2) / 2));
    const small = Math.min(13, Math.max(LEAST_PX, px - 1));
    const strip = (ROOF.strip * camera.zoom) / 2;
    const width = ROOF.width * camera.zoom;
    const inset = Math.min(12, 5 * camera.zoom);
    const tools = toolsOf(screen);
    const edges =
      tools.width > tools.height ? { left: EDGE, top: tools.height + EDGE } : { left: tools.width, top: SECOND_EDGE };
    for (const id of lotsIn(look.city.layout, view)) {
      const building = look.city.buildings.get(id);
      if (!building) continue;
      const { roof, node } = building;
      const at = toScreen(camera, screen, roof);
      this.#use(580, px);
      const name = visible(node.name ?? id);
      const place = nodeName(buildingOf(building.lot, building.size), camera, screen, edges, strip);
      if (place.moved) this.#pinned(name, px, place, palette);
      else {
        let room = width - 2 * inset;
        const total = building.slots.size ? count(building.slots.size) : "";
        if (total && this.#width(name) + 26 <= room) {
          this.#use(500, small);
          this.#text(total, at.x + width - inset, at.y + strip, palette.soft, "right");
          room -= this.#width(total) + 8;
          this.#use(580, px);
        }
        const short = this.#within(name, room, Math.floor(name.length / 2)) || name.slice(0, 3);
        this.#text(short, at.x + inset, at.y + strip, building.dark ? palette.onDark : palette.text);
      }
      const [caption, colour] = captionOf(look, building, palette);
      if (!caption || (camera.zoom < CAPTIONS_FROM && colour === palette.faint)) continue;
      this.#use(480, LEAST_PX);
      const below = at.y + (building.lot.y + LOT.height - 18 - roof.y) * camera.zoom + Math.min(11, 9 * camera.zoom);
      const beside = LOT.width * camera.zoom - 6;
      const reasons = look.refusals?.nodes.get(id);
      const lines = reasons?.length ? this.#reasons(reasons, beside, camera.zoom) : [this.#within(caption, beside)];
      lines.forEach((line, index) => {
        this.#text(line, at.x + inset / 2, below + index * LINE_PX, colour);
      });
    }
  }

  /** Why a node refuses: in as many lines as there is ground for below it, or as much of it as can be said whole. */
  #reasons(reasons: readonly string[], room: number, zoom: number): string[] {
    const most = Math.min(MOST_LINES, 1 + Math.max(0, Math.floor((CAPTION_GROUND * zoom - 1.5 * LINE_PX) / LINE_PX)));
    const texts = shortened(reasons).map(visible);
    for (const text of texts) {
      const lines = wrapped(text, room, most, (some) => this.#width(some));
      if (lines) return lines;
    }
    return [this.#within(texts.at(-1) ?? "", room)];
  }

  /** A name that goes along with what is seen of its node: on a ground of its own, as it lies over whatever is there. */
  #pinned(name: string, px: number, place: { x: number; y: number; right: number }, palette: Palette): void {
    const text = this.#within(name, place.right - place.x - 10, Math.floor(name.length / 2));
    const box = { x: place.x - 5, y: place.y - px / 2 - 4, width: this.#width(text) + 10, height: px + 8 };
    if (!text || place.y < 0 || !this.#free(box)) return;
    this.#ground(palette, box.x, box.y, box.width, box.height);
    this.#text(text, place.x, place.y, palette.text);
  }

  #units(look: Look, palette: Palette, camera: Camera, screen: Screen, view: Box): void {
    this.#use(500, LEAST_PX);
    const place = free(screen, look.cover);
    // A card at the lower edge lies over the legend too.
    const below = look.cover.bottom ? EDGE : LEGEND_PX;
    const homes = [...lotsIn(look.city.layout, view), ""];
    const ids = homes.flatMap((home) => [...(slotsOf(look.city, home)?.ids() ?? [])]);
    for (const id of ids) {
      const unit = look.city.units.get(id);
      const at = unit?.spot && unitName(unit.spot, camera, screen, place, below);
      if (!unit || !at) continue;
      const name = this.#within(visible(unit.instance.name), at.room, 5);
      const width = this.#width(name);
      const box = {
        x: at.x - width / 2 - 4,
        y: at.y - UNIT_NAME_HALF,
        width: width + 8,
        height: 2 * UNIT_NAME_HALF,
      };
      if (!name || !this.#free(box)) continue;
      const chosen = look.selection.instances.has(id);
      if (chosen) this.#ground(palette, box.x, box.y, box.width, box.height);
      const plain = chosen ? palette.text : palette.soft;
      this.#text(name, at.x, at.y, unit.tone === "bad" ? (palette.tones.bad ?? palette.text) : plain, "center");
    }
  }

  #marquee(palette: Palette, box: Box): void {
    const context = this.#context;
    context.save();
    context.globalAlpha = 0.12;
    context.fillStyle = palette.tones.busy ?? palette.text;
    context.fillRect(box.x, box.y, box.width, box.height);
    context.globalAlpha = 0.9;
    context.strokeStyle = palette.tones.busy ?? palette.text;
    context.strokeRect(Math.round(box.x) + 0.5, Math.round(box.y) + 0.5, Math.round(box.width), Math.round(box.height));
    context.restore();
  }
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
