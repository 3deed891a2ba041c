/**
 * Some neighbouring lots as one batch. Each lot has a part of it for itself: what its building is made of, its lights, and
 * room for the units on its roof. A change makes one lot anew, which is some thirty pictures, and not the block or the map.
 */
import type { Container, Shader, Texture } from "pixi.js";
import type { Building, Unit } from "../model/city";
import { frontLight, HOT, shareOf, unitColour, usedOf, windowsLit } from "../model/colours";
import { buildingOf, FRONTS, ROOF } from "../model/geometry";
import { HALO, UNIT_SHARE } from "../model/naming";
import { gridOf, slotsOf } from "../model/seating";
import { isOver } from "../model/standing";
import { type Atlas, DETAIL, fillingOf, RING, SPILL, UNIT_FILL, WINDOWS, windowsOf } from "./atlas";
import type { Look } from "./look";
import { colour, mix, type Palette } from "./palette";
import { Quads } from "./quads";
import { litBy, tintOf } from "./tints";

const SMALL = 1 / DETAIL;
/** Within a lot's part: the building, its lights, the mark of one that refuses or would take something, the units. */
const BODY = 0;
const LIGHTS = 4;
const WINDOWS_AT = 5;
const MARK = 9;
const UNITS = 10;
/** What making its lights anew is of making a lot anew. */
const LIGHTS_ARE = 0.3;

export interface Drawn {
  atlas: Atlas;
  palette: Palette;
  look: Look;
  /** Units on their way: they do not stand where they are going to. */
  away: ReadonlySet<string>;
}

/** Below all blocks, with one place for each lot. */
export interface Ground {
  shadows: Quads;
  glow: Quads;
}

interface Part {
  from: number;
  /** Units that there is room for. */
  room: number;
}

export class Block {
  readonly quads: Quads;
  /** Lots that are to be made anew, and those of which the lights are. */
  readonly dirty = new Set<string>();
  readonly dim = new Set<string>();
  readonly #parts = new Map<string, Part>();

  /** `nodes`: of these lots, the first of which is at `first` of the ground; an empty one is the ground beside Nexus. */
  constructor(
    readonly nodes: readonly string[],
    readonly first: number,
    readonly ground: Ground,
    shader: Shader,
    above: Container,
  ) {
    this.quads = new Quads(shader, above);
  }

  /** All of it is to be made anew. */
  touch(): void {
    for (const id of this.nodes) this.dirty.add(id);
  }

  /** Whether it ever was: the first time it has to be all of it. */
  get drawn(): boolean {
    return this.#parts.size > 0;
  }

  /** Make some of it anew, `bound` lots at the most; how many that were. */
  draw(drawn: Drawn, bound: number): number {
    let made = 0;
    if (this.dirty.size && bound > 0) this.#fit(drawn.look);
    for (const id of this.dirty) {
      if (made >= bound) break;
      made += 1;
      this.dirty.delete(id);
      this.dim.delete(id);
      this.#drawLot(id, drawn);
      this.#drawLights(id, drawn);
    }
    for (const id of this.dim) {
      if (made >= bound) break;
      made += LIGHTS_ARE;
      this.dim.delete(id);
      this.#drawLights(id, drawn);
    }
    this.quads.commit();
    return made;
  }

  get clean(): boolean {
    return !this.dirty.size && !this.dim.size;
  }

  /** Room for the units of each lot; where it has become too little, all lots get other parts. */
  #fit(look: Look): void {
    for (const id of this.dirty) {
      const part = this.#parts.get(id);
      if (!part || part.room < roomFor(look, id)) {
        this.#lay(look);
        return;
      }
    }
  }

  #lay(look: Look): void {
    const moves: [number, number, number][] = [];
    let from = 0;
    for (const id of this.nodes) {
      const had = this.#parts.get(id);
      const needed = roomFor(look, id);
      // Some more than there are, so that not each that comes has all of the block laid out anew.
      const room = had && had.room >= needed ? had.room : Math.ceil(needed * 1.2) + 2;
      if (had) moves.push([had.from, from, UNITS + had.room]);
      this.#parts.set(id, { from, room });
      from += UNITS + room;
    }
    this.quads.relay(from, moves);
    this.quads.show(from);
  }

  #drawLot(id: string, drawn: Drawn): void {
    const part = this.#parts.get(id);
    if (!part) return;
    const { quads } = this;
    const building = drawn.look.city.buildings.get(id);
    quads.hide(part.from, part.from + UNITS);
    const shadow = this.first + this.nodes.indexOf(id);
    if (building) this.#drawBody(id, building, part.from, shadow, drawn);
    else if (id) this.ground.shadows.hide(shadow);
    this.#drawUnits(id, building, part, drawn);
  }

  #drawBody(id: string, building: Building, from: number, shadowAt: number, { atlas, palette, look }: Drawn): void {
    const { roof, size, dark } = building;
    const front = atlas.fronts[size];
    const shadow = atlas.shadows[size];
    const outline = atlas.outlines[size];
    if (!front || !shadow || !outline) return;
    const { quads } = this;
    const tint = tintOf(look, palette, id, building);
    const [x, y] = [roof.x - SPILL / 2, roof.y - SPILL / 2 + 7];
    small(this.ground.shadows, shadowAt, shadow, x, y, palette.shadow, dark ? 0.19 : 0.75);
    small(quads, from + BODY, front, roof.x, roof.y + ROOF.height, tint.front);
    small(quads, from + BODY + 1, atlas.roof, roof.x, roof.y, tint.roof);
    if (building.node.scheduling !== "open" && !dark) {
      small(quads, from + BODY + 2, atlas.hatch, roof.x, roof.y, colour(palette, "tone-wait"), 0.2);
    }
    small(quads, from + BODY + 3, atlas.edge, roof.x, roof.y, tint.edge, dark ? 0.55 : 0.9);
    const lit = litBy(look, id);
    if (lit) small(quads, from + MARK, outline, roof.x - RING, roof.y - RING, colour(palette, lit), 0.95);
  }

  #drawLights(id: string, { atlas, palette, look }: Drawn): void {
    const part = this.#parts.get(id);
    const building = look.city.buildings.get(id);
    const glowAt = this.first + this.nodes.indexOf(id);
    const from = (part?.from ?? 0) + LIGHTS;
    if (!part || !building) {
      if (id) this.ground.glow.hide(glowAt);
      return;
    }
    const { roof, size, node, dark } = building;
    const windows = atlas.windows[size];
    const all = windowsOf(size);
    const unlit = windows?.[all];
    if (!windows || !unlit) return;
    const aside = (ROOF.width - 2 * WINDOWS.columns * WINDOWS.pitch) / 3;
    const y = roof.y + ROOF.height;
    const use = dark ? undefined : look.use(id);
    const share = use ? usedOf(node, use) : 0;
    const light = share > HOT ? palette.hot : mix(palette.memory, palette.cpu, shareOf(use?.cpuMilli, node.cpu_milli));
    const front = atlas.fronts[size];
    // From afar no window is seen, and the front as a whole is as bright as they are.
    if (use && front) small(this.quads, from, front, roof.x, y, light, frontLight(share, palette.night));
    else this.quads.hide(from);
    for (let index = 0; index < 2; index += 1) {
      const used = index ? shareOf(use?.memoryBytes, node.memory_bytes) : shareOf(use?.cpuMilli, node.cpu_milli);
      const of = index ? palette.memory : palette.cpu;
      const x = roof.x + aside + index * (aside + WINDOWS.columns * WINDOWS.pitch);
      const at = from - LIGHTS + WINDOWS_AT + 2 * index;
      small(this.quads, at, unlit, x, y, palette.unlit, dark ? 0.4 : 1);
      const lit = windows[windowsLit(used, all)];
      if (use && lit && used > 0) {
        small(this.quads, at + 1, lit, x, y, used > HOT ? palette.hot : of);
      } else this.quads.hide(at + 1);
    }
    if (!use) {
      this.ground.glow.hide(glowAt);
      return;
    }
    const box = buildingOf(building.lot, size);
    const reach = 2;
    this.ground.glow.set(
      glowAt,
      atlas.glow,
      box.x - (box.width * (reach - 1)) / 2,
      box.y - (box.height * (reach - 1)) / 2 + FRONTS[0],
      box.width * reach,
      box.height * reach,
      light,
      (palette.night ? 0.7 : 0.4) * share,
    );
  }

  #drawUnits(home: string, building: Building | undefined, part: Part, { atlas, palette, look, away }: Drawn): void {
    const { quads } = this;
    let at = part.from + UNITS;
    const end = at + part.room;
    const alpha = building?.dark ? 0.5 : 1;
    for (const id of slotsOf(look.city, home)?.ids() ?? []) {
      const unit = look.city.units.get(id);
      if (!unit?.spot || at >= end || away.has(id)) continue;
      const wide = (unit.spot.size * UNIT_SHARE) / UNIT_FILL;
      const tint = colour(palette, unitColour(look.question, unit, look.failing));
      quads.set(at, textureOf(atlas, unit), unit.spot.x - wide / 2, unit.spot.y - wide / 2, wide, wide, tint, alpha);
      at += 1;
    }
    quads.hide(at, end);
  }

  destroy(): void {
    this.quads.destroy();
  }
}

/** Around units that are selected. */
export function drawHalos(quads: Quads, { atlas, palette, look }: Drawn): void {
  const { instances } = look.selection;
  if (quads.room < instances.size) quads.clear(Math.ceil(instances.size * 1.3));
  let at = 0;
  for (const id of instances) {
    const spot = look.city.units.get(id)?.spot;
    if (!spot || at >= quads.room) continue;
    const wide = spot.size * HALO;
    quads.set(at, atlas.halo, spot.x - wide / 2, spot.y - wide / 2, wide, wide, palette.accent, 1);
    at += 1;
  }
  quads.show(at);
  quads.commit();
}

function roomFor(look: Look, home: string): number {
  const { columns, rows } = gridOf(look.city, home);
  return Math.min(columns * rows, slotsOf(look.city, home)?.size ?? 0);
}

/** Of the atlas, in the size that it has there. */
function small(quads: Quads, at: number, texture: Texture, x: number, y: number, tint: number, alpha = 1): void {
  quads.set(at, texture, x, y, texture.width * SMALL, texture.height * SMALL, tint, alpha);
}

export function textureOf(atlas: Atlas, unit: Unit): Texture {
  return atlas.units[unit.shape][isOver(unit.standing) ? "hollow" : fillingOf(unit.tone)];
}
