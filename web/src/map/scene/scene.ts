/**
 * The picture: WebGL for what is many, a canvas above it for names. It is drawn when something is another or moves, and not
 * otherwise; what each frame's script took is kept for whoever measures.
 */
import "pixi.js/unsafe-eval"; // which is the part of PixiJS that makes no code of texts, as the page's policy demands
import { Container, Graphics, WebGLRenderer } from "pixi.js";
import { along, type Camera, type Screen, seen, toMap } from "../model/camera";
import { type Changes, nexusAt } from "../model/city";
import { type Box, LOT, meets, type Point } from "../model/geometry";
import { lotAt } from "../model/layout";
import { type Atlas, drawAtlas } from "./atlas";
import { Block, type Drawn } from "./block";
import { Labels } from "./labels";
import type { Look } from "./look";
import { Movers } from "./movers";
import { mix, type Palette } from "./palette";

/** Lots of a block. */
const BLOCK = 96;
/** Blocks whose lights are drawn anew in one frame: load changes everywhere at once, and nobody sees the difference. */
const LIGHTS_EACH = 4;
const FLIGHT_MS = 420;
/** Frames of which the script time is kept. */
const KEPT = 600;
const TOLD_EACH_MS = 500;

interface Placed {
  block: Block;
  box: Box;
  bodies: boolean;
  lights: boolean;
  units: boolean;
  marks: boolean;
}

interface Flight {
  from: Camera;
  to: Camera;
  startMs: number;
}

export class Scene {
  screen: Screen = { width: 1, height: 1 };
  /** What each of the last frames' scripts took, ms. */
  readonly frames: number[] = [];
  onCamera: (camera: Camera) => void = () => {};
  #camera: Camera = { x: 0, y: 0, zoom: 1 };
  #flight: Flight | undefined;
  #box: Box | undefined;
  #palette: Palette;
  #look: Look;
  readonly #atlas: Atlas;
  readonly #labels: Labels;
  readonly #movers = new Movers();
  readonly #stage = new Container();
  readonly #world = new Container();
  readonly #plates = new Graphics();
  readonly #below = new Container();
  readonly #above = new Container();
  #blocks: Placed[] = [];
  #blockOf = new Map<string, Placed>();
  #platesDirty = true;
  #asked = 0;
  #toldMs = 0;
  #ended = false;

  private constructor(
    readonly renderer: WebGLRenderer,
    readonly host: HTMLElement,
    labels: HTMLCanvasElement,
    look: Look,
    palette: Palette,
  ) {
    this.#look = look;
    this.#palette = palette;
    this.#atlas = drawAtlas();
    this.#labels = new Labels(labels);
    this.#world.addChild(this.#plates, this.#below, this.#above, this.#movers.root);
    this.#stage.addChild(this.#world);
  }

  /** Throws if this browser draws no WebGL. */
  static async open(
    host: HTMLElement,
    canvas: HTMLCanvasElement,
    labels: HTMLCanvasElement,
    look: Look,
    palette: Palette,
  ): Promise<Scene> {
    const renderer = new WebGLRenderer();
    await renderer.init({
      canvas,
      antialias: false,
      backgroundColor: palette.ground,
      resolution: Math.min(2, devicePixelRatio || 1),
      autoDensity: false,
      preference: "webgl",
      hello: false,
      eventMode: "none",
    } as Parameters<WebGLRenderer["init"]>[0]);
    return new Scene(renderer, host, labels, look, palette);
  }

  get camera(): Camera {
    return this.#flight?.to ?? this.#camera;
  }

  get shownCamera(): Camera {
    return this.#camera;
  }

  resize(screen: Screen): void {
    this.screen = screen;
    const scale = Math.min(2, devicePixelRatio || 1);
    this.renderer.resize(screen.width, screen.height, scale);
    this.#labels.resize(screen, scale);
    this.ask();
  }

  look(camera: Camera, fly: boolean): void {
    this.#flight = fly ? { from: this.#camera, to: camera, startMs: performance.now() } : undefined;
    if (!fly) this.#camera = camera;
    this.ask();
  }

  dress(palette: Palette): void {
    this.#palette = palette;
    this.renderer.background.color = palette.ground;
    this.#platesDirty = true;
    this.#all(true);
  }

  /** What of the city is another. With `motion`, it is shown as such. */
  take(look: Look, changes: Changes, motion: boolean): void {
    this.#look = look;
    if (changes.layout) this.#build();
    for (const id of changes.nodes) this.#touch(id, true, true);
    for (const id of changes.units) {
      const home = look.city.units.get(id)?.home;
      if (home !== undefined) this.#touch(home, false, false);
    }
    // Those that left did so from places that are not known here any more.
    if (changes.units.size) {
      for (const placed of this.#blocks) placed.units ||= changes.units.size > 0 && this.#lost(placed, changes);
    }
    if (motion && changes.motions.length && document.visibilityState === "visible") {
      this.#movers.add(changes.motions, performance.now());
      for (const id of this.#movers.away) this.#touch(look.city.units.get(id)?.home ?? "", false, false);
    }
    this.ask();
  }

  /** Nothing moves from now on. */
  still(): void {
    for (const id of this.#movers.stop()) this.#touch(this.#look.city.units.get(id)?.home ?? "", false, false);
    this.ask();
  }

  /** Another question, selection or the like. */
  ponder(look: Look, of: { bodies?: boolean; lights?: boolean; units?: boolean; marks?: boolean }): void {
    this.#look = look;
    for (const placed of this.#blocks) {
      placed.bodies ||= of.bodies ?? false;
      placed.lights ||= of.lights ?? false;
      placed.units ||= of.units ?? false;
      placed.marks ||= of.marks ?? false;
    }
    this.ask();
  }

  marquee(box: Box | undefined): void {
    this.#box = box;
    this.ask();
  }

  at(point: Point): Point {
    return toMap(this.#camera, this.screen, point);
  }

  ask(): void {
    if (this.#asked || this.#ended) return;
    this.#asked = requestAnimationFrame((nowMs) => this.#frame(nowMs));
  }

  destroy(): void {
    this.#ended = true;
    cancelAnimationFrame(this.#asked);
    for (const { block } of this.#blocks) block.destroy();
    this.#stage.destroy({ children: true });
    this.#atlas.destroy();
    this.renderer.destroy();
  }

  #all(bodies: boolean): void {
    this.ponder(this.#look, { bodies, lights: true, units: true, marks: true });
  }

  #touch(home: string, bodies: boolean, lights: boolean): void {
    const placed = this.#blockOf.get(home);
    if (!placed) return;
    placed.bodies ||= bodies;
    placed.lights ||= lights;
    placed.units = true;
    placed.marks = true;
  }

  /** Whether any that is gone may have stood here: as cheap as drawing a block anew. */
  #lost(placed: Placed, changes: Changes): boolean {
    if (placed.units) return true;
    for (const id of changes.units) if (!this.#look.city.units.has(id)) return true;
    return false;
  }

  #build(): void {
    for (const { block } of this.#blocks) block.destroy();
    this.#blocks = [];
    this.#blockOf = new Map();
    const { layout } = this.#look.city;
    const place = (nodes: string[], box: Box) => {
      const block = new Block(nodes, this.#below, this.#above);
      const placed = { block, box, bodies: true, lights: true, units: true, marks: true };
      this.#blocks.push(placed);
      for (const id of nodes) this.#blockOf.set(id, placed);
    };
    place([""], layout.yard);
    for (const district of layout.districts) {
      for (let from = 0; from < district.lots.length; from += BLOCK) {
        const lots = district.lots.slice(from, from + BLOCK);
        const nodes = lots.filter((id): id is string => id !== undefined);
        if (!nodes.length) continue;
        const first = lotAt(district, from);
        const last = lotAt(district, from + lots.length - 1);
        const { x, width } = district.box;
        place(nodes, { x, y: first.y - LOT.height / 2, width, height: last.y + 2 * LOT.height - first.y });
      }
    }
    this.#platesDirty = true;
  }

  #frame(nowMs: number): void {
    this.#asked = 0;
    const began = performance.now();
    if (this.#flight) {
      const part = Math.min(1, Math.max(0, (nowMs - this.#flight.startMs) / FLIGHT_MS));
      this.#camera = part < 1 ? along(this.#flight.from, this.#flight.to, part) : this.#flight.to;
      if (part >= 1) this.#flight = undefined;
    }
    const camera = this.#camera;
    const drawn: Drawn = { atlas: this.#atlas, palette: this.#palette, look: this.#look, away: this.#movers.away };
    const moving = this.#movers.busy;
    if (moving) {
      const arrived = this.#movers.advance(drawn, performance.now(), camera.zoom);
      for (const id of arrived) this.#touch(this.#look.city.units.get(id)?.home ?? "", false, false);
    }
    if (this.#platesDirty) this.#drawPlates();
    const view = seen(camera, this.screen);
    let lights = 0;
    let left = false;
    for (const placed of this.#blocks) {
      const shown = meets(view, placed.box);
      placed.block.show(shown);
      // What nobody sees waits until somebody does.
      if (!shown) continue;
      if (placed.bodies) placed.block.drawBodies(drawn);
      if (placed.units) placed.block.drawUnits(drawn);
      if (placed.marks) placed.block.drawMarks(drawn);
      if (placed.lights && lights < LIGHTS_EACH) {
        placed.block.drawLights(drawn);
        placed.lights = false;
        lights += 1;
      }
      left ||= placed.lights;
      placed.bodies = false;
      placed.units = false;
      placed.marks = false;
    }
    this.#world.scale.set(camera.zoom);
    this.#world.position.set(
      this.screen.width / 2 - camera.x * camera.zoom,
      this.screen.height / 2 - camera.y * camera.zoom,
    );
    this.renderer.render(this.#stage);
    this.#labels.draw(this.#look, this.#palette, camera, this.screen, this.#box);
    this.onCamera(camera);
    this.#note(performance.now() - began);
    if (this.#flight || this.#movers.busy || moving || left) this.ask();
  }

  #note(took: number): void {
    this.frames.push(took);
    if (this.frames.length > KEPT) this.frames.shift();
    const now = performance.now();
    if (now - this.#toldMs < TOLD_EACH_MS) return;
    this.#toldMs = now;
    const sorted = [...this.frames].sort((one, other) => one - other);
    this.host.dataset.frames = String(this.frames.length);
    this.host.dataset.frameP95Ms = (sorted[Math.floor(sorted.length * 0.95)] ?? 0).toFixed(2);
  }

  #drawPlates(): void {
    this.#platesDirty = false;
    const palette = this.#palette;
    const { layout } = this.#look.city;
    const at = this.#plates.clear();
    for (const district of layout.districts) {
      const { box } = district;
      at.roundRect(box.x, box.y, box.width, box.height, 14).fill(palette.plate);
      at.roundRect(box.x, box.y, box.width, box.height, 14).stroke({ color: palette.plateLine, width: 1.6 });
      district.lots.forEach((id, index) => {
        if (id !== undefined) return;
        const lot = lotAt(district, index);
        at.roundRect(lot.x + 12, lot.y + 30, LOT.width - 24, LOT.height - 50, 6).stroke({
          color: palette.lot,
          width: 1.2,
        });
      });
    }
    const { yard, yardScale: scale } = layout;
    at.roundRect(yard.x, yard.y, yard.width, yard.height, 14 * scale).fill(palette.plate);
    at.roundRect(yard.x, yard.y, yard.width, yard.height, 14 * scale).stroke({ color: palette.plateLine, width: 1.6 });
    const nexus = nexusAt(layout);
    for (const [reach, alpha] of [
      [48, 0.05],
      [41, 0.08],
    ] as const) {
      at.regularPoly(nexus.x, nexus.y, reach * scale, 6).fill({ color: palette.accent, alpha });
    }
    at.regularPoly(nexus.x, nexus.y + 4 * scale, 32 * scale, 6).fill(mix(palette.front, palette.shadow, 0.4));
    at.regularPoly(nexus.x, nexus.y, 32 * scale, 6).fill(mix(palette.roof, palette.accent, 0.16));
    at.regularPoly(nexus.x, nexus.y, 32 * scale, 6).stroke({ color: palette.accent, width: 1.8 * scale });
    at.regularPoly(nexus.x, nexus.y, 15 * scale, 6).fill({ color: palette.accent, alpha: 0.95 });
  }
}
