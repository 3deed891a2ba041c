import type { GlTexture } from "pixi.js";
import { beforeEach, expect, test, vi } from "vitest";
import { Strips, upload } from "./strips";

vi.mock("pixi.js", () => ({
  ExtensionType: {},
  extensions: { add: () => {} },
  TextureSource: class {
    readonly pixelWidth: number;
    readonly pixelHeight: number;
    autoGenerateMipmaps = false;
    constructor({ width, height }: { width: number; height: number }) {
      this.pixelWidth = width;
      this.pixelHeight = height;
    }
    updateMipmaps() {}
  },
}));

const WIDTH = 512;
const HEIGHT = 1_000;
/** Where rows of pictures begin. */
const ROWS = [100, 300, 420, 640, 800];

/** What is drawn: by canvas, where each picture is on it. */
let canvases: { width: number; height: number; at: [number, number][] }[] = [];

beforeEach(() => {
  canvases = [];
  vi.stubGlobal("document", {
    createElement: () => {
      const canvas = { width: 0, height: 0, at: [] as [number, number][], getContext: () => context };
      const context = {
        save: () => {},
        restore: () => {},
        beginPath: () => {},
        translate: (x: number, y: number) => canvas.at.push([x, y]),
      };
      canvases.push(canvas);
      return canvas;
    },
  });
});

function placed(): Strips {
  const strips = new Strips(WIDTH, HEIGHT);
  strips.place(16, 16, () => {});
  for (const y of ROWS) {
    strips.row(y);
    strips.place(0, y, () => {});
    strips.place(200, y, () => {});
  }
  return strips;
}

/** A card: what it was given, by the first row of each. */
function card() {
  const given: (number | "room")[] = [];
  const gl = {
    texImage2D: () => given.push("room"),
    texSubImage2D: (_target: number, _level: number, _x: number, y: number) => given.push(y),
  } as unknown as WebGL2RenderingContext;
  const texture = () => ({ texture: {} }) as unknown as GlTexture;
  return { given, gl, texture };
}

test("the texture is drawn in strips that are whole together, each sent before the next is drawn", async () => {
  const strips = placed();
  const { given, gl, texture } = card();
  const own = texture();
  const drawn: number[] = [];
  await strips.make(async () => {
    upload(strips, own, gl);
    drawn.push(canvases.length);
  });
  expect(drawn, "room first, and then one at a time").toEqual([0, 1, 2, 3]);
  expect(given).toEqual(["room", 0, 300, 640]);
  expect(canvases.map(({ height }) => height)).toEqual([300, 340, 360]);
  expect(
    canvases.every(({ width }) => width === WIDTH),
    "as wide as all of it",
  ).toBe(true);
});

test("each picture is drawn once, where it is in the texture", async () => {
  const strips = placed();
  await strips.make(async () => {});
  const tops = [0, 300, 640];
  const found = canvases.flatMap(({ at }, strip) => at.map(([x, y]) => [x, y + (tops[strip] ?? 0)]));
  expect(found).toEqual([
    [16, 16],
    ...ROWS.flatMap((y) => [
      [0, y],
      [200, y],
    ]),
  ]);
});

test("its smaller copies are made once, when it is whole", async () => {
  const strips = placed();
  let mipmaps = 0;
  strips.updateMipmaps = () => {
    mipmaps += 1;
  };
  await strips.make(async () => {
    expect([mipmaps, strips.autoGenerateMipmaps]).toEqual([0, false]);
  });
  expect([mipmaps, strips.autoGenerateMipmaps], "and again with what a card has forgotten").toEqual([1, true]);
});

test("a card that has forgotten the texture is given all of it again", async () => {
  const strips = placed();
  const { given, gl, texture } = card();
  const own = texture();
  await strips.make(async () => upload(strips, own, gl));
  given.length = 0;
  upload(strips, own, gl);
  expect(given, "it has all").toEqual([]);
  upload(strips, texture(), gl);
  expect(given).toEqual(["room", 0, 300, 640]);
});
