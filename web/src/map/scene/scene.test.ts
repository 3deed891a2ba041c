import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Look } from "./look";
import type { Palette } from "./palette";

// What draws is left out: this is about when it is drawn. Without an idea of WebGL there is nothing to draw with, either.
const card = vi.hoisted(() => ({ rendered: 0, drawing: false, emulated: false, shown: 0, scale: 0, lost: false }));
class Nothing {
  static readonly system = { autoStart: false, stop: () => {}, update: () => {} };
  readonly canvas = { remove: () => {} };
  readonly gl = {};
  readonly background = { color: 0 };
  readonly texture = { initSource: () => {} };
  readonly shader = { bind: () => {} };
  readonly scale = { set: () => {} };
  readonly position = { set: () => {} };
  readonly away = new Set<string>();
  readonly busy = false;
  addChild() {}
  async init(_options: { resolution: number }) {}
  async prepare() {}
  resize(_width: number, _height: number, _scale: number) {}
  destroy() {}
  draw() {}
  render() {
    card.rendered += 1;
  }
}
vi.mock("pixi.js/unsafe-eval", () => ({}));
vi.mock("pixi.js", () => ({
  Container: Nothing,
  GlLimitsSystem: Nothing,
  Ticker: Nothing,
  WebGLRenderer: class extends Nothing {
    override async init(options: { resolution: number }) {
      card.scale = options.resolution;
    }
    override resize(_width: number, _height: number, scale: number) {
      card.scale = scale;
    }
  },
}));
vi.mock("../../state/turn", () => ({ turn: async () => {} }));
vi.mock("./atlas", () => ({ drawAtlas: () => new Nothing() }));
vi.mock("./labels", () => ({ Labels: Nothing }));
vi.mock("./movers", () => ({ Movers: Nothing }));
vi.mock("./block", () => ({ Block: Nothing, drawHalos: () => {} }));
vi.mock("./plates", () => ({ drawPlates: () => {} }));
vi.mock("./fetched", () => ({
  emulated: () => card.emulated,
  Fetched: class extends Nothing {
    begin() {}
    show() {
      card.shown += 1;
    }
  },
}));
vi.mock("./quads", () => ({
  quadProgram: () => {},
  quadShader: () => new Nothing(),
  Quads: class extends Nothing {
    readonly mesh = { blendMode: "" };
    commit() {}
  },
}));
vi.mock("./pace", () => ({
  settled: async () => {},
  Pace: class {
    static readonly POLL_MS = 4;
    get drawing() {
      return card.drawing;
    }
    drew() {
      card.drawing = true;
    }
  },
}));

/** By what the canvas of the picture tells of its context. */
const heard = new Map<string, (event: object) => void>();
let frames: ((nowMs: number) => void)[] = [];
const next = () => {
  const [frame] = frames.splice(0, 1);
  frame?.(performance.now());
};

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(card, { rendered: 0, drawing: false, emulated: false, shown: 0, lost: false });
  frames = [];
  vi.stubGlobal("requestAnimationFrame", (frame: (nowMs: number) => void) => frames.push(frame));
  vi.stubGlobal("cancelAnimationFrame", () => {});
  vi.stubGlobal("devicePixelRatio", 1);
  vi.stubGlobal("document", {
    createElement: () => ({
      addEventListener: (name: string, react: (event: object) => void) => heard.set(name, react),
      getContext: () => ({ getExtension: () => null, isContextLost: () => card.lost }),
    }),
    visibilityState: "visible",
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function opened() {
  const { Scene } = await import("./scene");
  const host = { insertBefore: () => {}, dataset: {} } as unknown as HTMLElement;
  const look = { city: { layout: {} } } as unknown as Look;
  return Scene.open(host, {} as HTMLCanvasElement, look, { night: false } as unknown as Palette);
}

test("what becomes another while a frame is still being drawn is drawn after it, once", async () => {
  const scene = await opened();
  scene.ask();
  scene.ask();
  expect(frames).toHaveLength(1);
  next();
  expect(card.rendered).toBe(1);

  scene.look({ x: 1, y: 2, zoom: 1 }, false);
  scene.look({ x: 3, y: 4, zoom: 1 }, false);
  vi.advanceTimersByTime(40);
  expect(frames, "the card is still busy").toHaveLength(0);
  card.drawing = false;
  vi.advanceTimersByTime(4);
  expect(frames).toHaveLength(1);
  let shown = {};
  scene.onCamera = (camera) => {
    shown = camera;
  };
  next();
  expect(card.rendered).toBe(2);
  expect(shown).toEqual({ x: 3, y: 4, zoom: 1 });

  card.drawing = false;
  vi.advanceTimersByTime(1_000);
  expect(frames, "nothing is another since").toHaveLength(0);
});

test("what has ended is drawn no more, though it was asked for", async () => {
  const scene = await opened();
  scene.ask();
  next();
  scene.ask();
  scene.destroy();
  card.drawing = false;
  vi.advanceTimersByTime(1_000);
  expect(frames).toHaveLength(0);
});

test("a picture that is fetched is shown once it is there, and then all is at rest", async () => {
  card.emulated = true;
  const scene = await opened();
  scene.ask();
  next();
  scene.ask();
  vi.advanceTimersByTime(40);
  expect([card.rendered, card.shown, frames.length]).toEqual([1, 0, 0]);
  card.drawing = false;
  vi.advanceTimersByTime(4);
  expect([card.shown, frames.length]).toEqual([1, 1]);
  next();
  card.drawing = false;
  vi.advanceTimersByTime(1_000);
  expect([card.rendered, card.shown, frames.length], "one frame for what was asked").toEqual([2, 2, 0]);
});

test("in a context that was lost nothing is drawn, and nothing of it is waited for", async () => {
  card.emulated = true;
  const scene = await opened();
  let told = 0;
  scene.onCamera = () => {
    told += 1;
  };
  scene.ask();
  next();
  scene.ask();
  card.lost = true;
  card.drawing = false;
  vi.advanceTimersByTime(1_000);
  expect([card.shown, told, frames.length], "what was on its way does not come").toEqual([0, 0, 0]);
  scene.ask();
  expect(frames).toHaveLength(0);
});

test("nor is it when the context is given back, as nothing of what was made in it is there", async () => {
  const scene = await opened();
  const event = { preventDefault: vi.fn(), stopImmediatePropagation: vi.fn() };
  heard.get("webglcontextlost")?.(event);
  heard.get("webglcontextrestored")?.(event);
  await Promise.all([scene.context.taken, scene.context.givenBack]);
  expect(event.preventDefault, "else it would not be given back").toHaveBeenCalledOnce();
  expect(event.stopImmediatePropagation, "PixiJS makes nothing anew").toHaveBeenCalledOnce();
  scene.ask();
  expect(frames).toHaveLength(0);
});

test("a frame that was asked for in time finds the context lost", async () => {
  const scene = await opened();
  scene.ask();
  card.lost = true;
  next();
  expect(card.rendered).toBe(0);
});

test.each([
  { emulated: false, ratio: 1.75, scale: 1.75 },
  { emulated: false, ratio: 3, scale: 2 },
  { emulated: true, ratio: 1.75, scale: 1 },
])(
  "drawn as finely as the screen is, unless the processor draws: $emulated at $ratio",
  async ({ emulated, ratio, scale }) => {
    card.emulated = emulated;
    vi.stubGlobal("devicePixelRatio", ratio);
    const scene = await opened();
    expect(card.scale, "from the first picture on").toBe(scale);
    card.scale = 0;
    scene.resize({ width: 300, height: 200 });
    expect(card.scale, "what is seen stays until the next picture").toBe(0);
    next();
    expect(card.scale).toBe(scale);
  },
);
