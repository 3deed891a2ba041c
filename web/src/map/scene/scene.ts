/**
 * The picture: WebGL for what is many, a canvas above it for names. It is drawn when something is another or moves, and not
 * otherwise; what each frame's script took is kept for whoever measures.
 */
import { Container, type Shader, Ticker, type WebGLRenderer } from "pixi.js";
import { along, type Camera, type Screen, seen, toMap } from "../model/camera";
import type { Changes } from "../model/city";
import { type Box, LOT, meets, type Point } from "../model/geometry";
import { lotAt } from "../model/layout";
import { type Atlas, drawAtlas } from "./atlas";
import { Block, type Drawn, drawHalos, type Ground } from "./block";
import type { Context } from "./context";
import { emulated, Fetched } from "./fetched";
import { Labels } from "./labels";
import type { Look } from "./look";
import { Movers } from "./movers";
import { openRenderer } from "./opening";
import { Pace } from "./pace";
import type { Palette } from "./palette";
import { drawPlates } from "./plates";
import { Quads, quadShader } from "./quads";

/** Lots of a block. */
const BLOCK = 96;
/**
 * Lots that are made anew in one frame; the others follow with the next: load changes everywhere at once, and a crowd of
 * instances may. Which they are is told by the state and the frames, not by how quick a machine is.
 */
const LOTS_EACH = 80;
/** Lots of blocks that were never drawn, which are drawn whole, after which a frame begins no other: the first picture comes in parts. */
const NEW_LOTS_EACH = 160;
/** Names and captions follow what comes in no quicker; the camera and what is selected they follow at once. */
const NAMES_MS = 250;
const FLIGHT_MS = 420;
/** Frames of which the script time is kept. */
const KEPT = 600;
const TOLD_EACH_MS = 500;

/** Pixels of the screen for one of the page. */
const scaleOf = (): number => Math.min(2, devicePixelRatio || 1);

interface Placed {
  block: Block;
  box: Box;
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
  readonly #shader: Shader;
  readonly #movers: Movers;
  readonly #ground: Ground;
  readonly #halos: Quads;
  readonly #stage = new Container();
  readonly #world = new Container();
  readonly #plates: Quads;
  readonly #below = new Container();
  readonly #above = new Container();
  #blocks: Placed[] = [];
  #blockOf = new Map<string, Block>();
  /** Which block is looked at first: in turn, so that none waits for long. */
  #turn = 0;
  /** When names are to be drawn anew, and when and from where they were. */
  #names: "now" | "soon" | undefined = "now";
  #named: Camera | undefined;
  #namedMs = 0;
  #namesTimer: ReturnType<typeof setTimeout> | undefined;
  #resized = false;
  #platesDirty = true;
  #halosDirty = true;
  #asked = 0;
  /** Asked for while the frame before is still being drawn. */
  #again = false;
  #polled: ReturnType<typeof setTimeout> | undefined;
  readonly #pace: Pace;
  /** Where pictures are fetched, and what is to be done when the one on its way is shown. */
  readonly #fetched: Fetched | undefined;
  #coming: (() => void) | undefined;
  #toldMs = 0;
  /** What was ever shown moving, for whoever looks from outside. */
  #moved = 0;
  #ended = false;

  private constructor(
    readonly renderer: WebGLRenderer,
    readonly context: Context,
    atlas: Atlas,
    labels: Labels,
    readonly host: HTMLElement,
    look: Look,
    palette: Palette,
  ) {
    this.#look = look;
    this.#palette = palette;
    const { gl } = renderer;
    this.#pace = new Pace(gl, () => context.lost);
    this.#fetched = emulated(gl) ? new Fetched(gl, document.createElement("canvas")) : undefined;
    this.#atlas = atlas;
    this.#labels = labels;
    this.#shader = quadShader(this.#atlas.source);
    this.#plates = new Quads(this.#shader, this.#world);
    this.#world.addChild(this.#below, this.#above);
    this.#stage.addChild(this.#world);
    this.#ground = { shadows: new Quads(this.#shader, this.#below), glow: new Quads(this.#shader, this.#below) };
    this.#halos = new Quads(this.#shader, this.#world);
    this.#movers = new Movers(this.#shader, this.#world);
  }

  /** Puts its canvas below that of the names. Throws if this browser draws no WebGL, or `ContextLost`. */
  static open(host: HTMLElement, labels: HTMLCanvasElement, look: Look, palette: Palette): Promise<Scene> {
    return openRenderer(palette.ground, scaleOf(), async ({ renderer, context, quiet }) => {
      const atlas = await drawAtlas(async (source) => {
        renderer.texture.initSource(source);
        source.update();
        await quiet();
      });
      await quiet();
      const names = new Labels(labels);
      await names.prepare();
      const scene = new Scene(renderer, context, atlas, names, host, look, palette);
      await quiet();
      // Else the card is asked for its program while the first picture is drawn.
      renderer.shader.bind(scene.#shader);
      await quiet();
      host.insertBefore(scene.#fetched?.canvas ?? renderer.canvas, labels);
      return scene;
    });
  }

  get camera(): Camera {
    return this.#flight?.to ?? this.#camera;
  }

  get shownCamera(): Camera {
    return this.#camera;
  }

  resize(screen: Screen): void {
    this.screen = screen;
    this.#resized = true;
    this.#names = "now";
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
    this.ponder(this.#look, { all: true });
  }

  /** What of the city is another. With `motion`, it is shown as such. */
  take(look: Look, changes: Changes, motion: boolean): void {
    this.#look = look;
    if (changes.layout) this.#build();
    for (const id of changes.nodes) this.#touch(id);
    for (const id of changes.homes) this.#touch(id);
    if (look.selection.instances.size && changes.homes.size) this.#halosDirty = true;
    // Where another time is shown, all that is there belongs to it.
    if (look.past) this.#names = "now";
    else this.#names ??= "soon";
    if (motion && changes.motions.length && document.visibilityState === "visible") {
      this.#movers.add(changes.motions, performance.now());
      this.#moved += changes.motions.length;
      this.host.dataset.moved = String(this.#moved);
    }
    this.ask();
  }

  /** Nothing moves from now on. */
  still(): void {
    for (const id of this.#movers.stop()) this.#touchUnit(id);
    this.ask();
  }

  /** Another question, selection or the like: `all` is made anew, or the lights are. */
  ponder(look: Look, of: { all?: boolean; lights?: boolean; marks?: boolean }): void {
    this.#look = look;
    for (const { block } of this.#blocks) {
      if (of.all) block.touch();
      else if (of.lights) for (const id of block.nodes) block.dim.add(id);
    }
    if (!of.lights || of.all) this.#names = "now";
    else this.#names ??= "soon";
    this.#halosDirty ||= (of.marks ?? false) || (of.all ?? false);
    this.ask();
  }

  marquee(box: Box | undefined): void {
    this.#box = box;
    this.#names = "now";
    this.ask();
  }

  at(point: Point): Point {
    return toMap(this.#camera, this.screen, point);
  }

  ask(): void {
    if (this.#asked || this.#ended || this.context.lost) return;
    if (this.#coming || this.#pace.drawing) {
      this.#again = true;
      this.#poll();
    } else this.#asked = requestAnimationFrame((nowMs) => this.#frame(nowMs));
  }

  /** Until the frame before is there. */
  #poll(): void {
    this.#polled ??= setTimeout(() => {
      this.#polled = undefined;
      if (this.#pace.drawing) return this.#poll();
      // Names are not drawn above a picture that never comes.
      if (!this.context.lost) this.#coming?.();
      this.#coming = undefined;
      if (this.#again) this.ask();
      this.#again = false;
    }, Pace.POLL_MS);
  }

  destroy(): void {
    this.#ended = true;
    cancelAnimationFrame(this.#asked);
    clearTimeout(this.#polled);
    clearTimeout(this.#namesTimer);
    this.context.end(this.renderer);
    for (const { block } of this.#blocks) block.destroy();
    for (const quads of [this.#plates, this.#ground.shadows, this.#ground.glow, this.#halos]) quads.destroy();
    this.#movers.destroy();
    this.#stage.destroy({ children: true });
    // Without its program, which another scene may have too.
    this.#shader.destroy();
    this.#atlas.destroy();
    this.#fetched?.destroy();
    this.renderer.canvas.remove();
    this.renderer.destroy();
  }

  #touch(home: string): void {
    this.#blockOf.get(home)?.dirty.add(home);
  }

  #touchUnit(id: string): void {
    const home = this.#look.city.units.get(id)?.home;
    if (home !== undefined) this.#touch(home);
  }

  #build(): void {
    for (const { block } of this.#blocks) block.destroy();
    this.#blocks = [];
    this.#blockOf = new Map();
    const { layout } = this.#look.city;
    let first = 0;
    const place = (nodes: string[], box: Box) => {
      const block = new Block(nodes, first, this.#ground, this.#shader, this.#above);
      first += nodes.length;
      this.#blocks.push({ block, box });
      block.touch();
      for (const id of nodes) this.#blockOf.set(id, block);
    };
    place([""], layout.yard);
    for (const district of layout.districts) {
      for (let from = 0; from < district.lots.length; from += BLOCK) {
        const lots = district.lots.slice(from, from + BLOCK);
        const nodes = lots.filter((id): id is string => id !== undefined);
        if (!nodes.length) continue;
        const top = lotAt(district, from);
        const last = lotAt(district, from + lots.length - 1);
        const { x, width } = district.box;
        place(nodes, { x, y: top.y - LOT.height / 2, width, height: last.y + 2 * LOT.height - top.y });
      }
    }
    for (const quads of [this.#ground.shadows, this.#ground.glow]) {
      quads.clear(first);
      quads.show(first);
    }
    this.#platesDirty = true;
  }

  /** Make anew what is another and seen, as much as a frame has room for; whether any is left. */
  #renew(drawn: Drawn, view: Box): boolean {
    let most = LOTS_EACH;
    let fresh = NEW_LOTS_EACH;
    let left = false;
    const { length } = this.#blocks;
    for (let step = 0; step < length; step += 1) {
      const placed = this.#blocks[(this.#turn + step) % length];
      if (!placed) continue;
      const { block } = placed;
      const shown = meets(view, placed.box);
      block.quads.mesh.renderable = shown;
      // What nobody sees waits until somebody does.
      if (!shown) continue;
      if (block.drawn) most -= block.draw(drawn, most);
      else if (fresh > 0) fresh -= block.draw(drawn, block.nodes.length);
      left ||= !block.clean;
    }
    // New ones from the first on, so that a picture that comes in parts comes in order.
    if (fresh === NEW_LOTS_EACH) this.#turn = length ? (this.#turn + 1) % length : 0;
    this.#ground.shadows.commit();
    this.#ground.glow.commit();
    this.#ground.glow.mesh.blendMode = drawn.palette.night ? "add" : "normal";
    return left;
  }

  #frame(nowMs: number): void {
    this.#asked = 0;
    if (this.context.lost) return;
    const began = performance.now();
    if (this.#flight) {
      const part = Math.min(1, Math.max(0, (nowMs - this.#flight.startMs) / FLIGHT_MS));
      this.#camera = part < 1 ? along(this.#flight.from, this.#flight.to, part) : this.#flight.to;
      if (part >= 1) this.#flight = undefined;
    }
    // With the frame that fills it: a canvas of another size is empty.
    if (this.#resized) {
      // Each pixel of an emulated picture is the processor's work, and its names, which are no part of it, are sharp all the same.
      this.renderer.resize(this.screen.width, this.screen.height, this.#fetched ? 1 : scaleOf());
    }
    this.#resized = false;
    const camera = this.#camera;
    const drawn: Drawn = { atlas: this.#atlas, palette: this.#palette, look: this.#look, away: this.#movers.away };
    const moving = this.#movers.busy;
    if (moving) {
      const arrived = this.#movers.advance(drawn, performance.now(), camera.zoom);
      for (const id of arrived) this.#touchUnit(id);
    }
    if (this.#platesDirty) drawPlates(this.#plates, this.#atlas, this.#palette, this.#look.city.layout);
    this.#platesDirty = false;
    const view = seen(camera, this.screen);
    const left = this.#renew(drawn, view);
    if (this.#halosDirty) drawHalos(this.#halos, drawn);
    this.#halosDirty = false;
    this.#world.scale.set(camera.zoom);
    this.#world.position.set(
      this.screen.width / 2 - camera.x * camera.zoom,
      this.screen.height / 2 - camera.y * camera.zoom,
    );
    Ticker.system.update(nowMs);
    this.renderer.render(this.#stage);
    this.#fetched?.begin();
    this.#pace.drew();
    // Names belong to the picture that they are above.
    const shown = () => {
      this.#name(camera, began);
      this.onCamera(camera);
    };
    if (this.#fetched) {
      this.#coming = () => {
        this.#fetched?.show();
        shown();
      };
      this.#poll();
    } else shown();
    this.#note(performance.now() - began);
    if (this.#flight || this.#movers.busy || moving || left) this.ask();
  }

  #name(camera: Camera, nowMs: number): void {
    const waitMs = this.#namedMs + NAMES_MS - nowMs;
    if (this.#names === "now" || this.#named !== camera || (this.#names && waitMs <= 0)) {
      this.#labels.draw(this.#look, this.#palette, camera, this.screen, scaleOf(), this.#box);
      this.#named = camera;
      this.#namedMs = nowMs;
      this.#names = undefined;
    } else if (this.#names) {
      this.#namesTimer ??= setTimeout(() => {
        this.#namesTimer = undefined;
        this.ask();
      }, waitMs);
    }
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
}
