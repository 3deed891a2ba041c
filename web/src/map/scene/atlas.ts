/** All that buildings and units are made of, drawn once into one texture, in white: the palette tints it. */
import { Rectangle, Texture } from "pixi.js";
import type { Tone } from "../../words/states";
import type { Shape } from "../model/colours";
import { FRONTS, ROOF } from "../model/geometry";
import { Strips } from "./strips";

/** Pixels of the texture for a unit of the map. */
export const DETAIL = 3;
const WIDTH = 2048;
const HEIGHT = 2688;
/**
 * Between two pictures, and what each begins at a multiple of. A pixel of the smaller copies of the texture, that are taken
 * from afar, is of so many: of none that shows anything it holds some of another picture, which would be a line beside it.
 */
const GAP = 16;
const RADIUS = 5;
/** A unit's picture, about as large as it is ever shown; what it is drawn in; and how much of it the shape fills. */
const UNIT_TEXTURE_PX = 192;
export const UNIT_PX = 72;
export const UNIT_FILL = 0.8;
export const WINDOWS = { columns: 7, floor: 6, width: 4.4, height: 3.2, pitch: 6.6 } as const;
/** Room around what glows or throws a shadow, in units of the map. */
export const SPILL = 34;
export const RING = 4;

/** Of a plate with round corners, units: what its corners take, their radius, and how far its picture reaches beyond it. */
export const CORNER = 18;
const PLATE_RADIUS = 14;
const PLATE_SPILL = 2;
const HEXAGON_PX = 192;
/** The square of a hexagon's picture, of what the hexagon reaches. */
export const HEXAGON_SPILL = 1.1;

/** A picture in three rows of three, of which the middle ones are drawn out. */
export interface Nine {
  parts: (Texture | undefined)[];
  /** How far it reaches beyond its box, of a corner. */
  spill: number;
}

export type Filling = "solid" | "hollow" | "half" | "cut" | "dotted";
const FILLINGS: readonly Filling[] = ["solid", "hollow", "half", "cut", "dotted"];
const SHAPES: readonly Shape[] = ["process", "docker", "wasm", "sandbox", "other"];

/** Tones have fillings of their own: colour alone never tells. */
export function fillingOf(tone: Tone): Filling {
  switch (tone) {
    case "good":
      return "solid";
    case "busy":
    case "off":
      return "hollow";
    case "wait":
      return "half";
    case "bad":
      return "cut";
    case "unknown":
      return "dotted";
  }
}

export interface Atlas {
  roof: Texture;
  edge: Texture;
  hatch: Texture;
  dot: Texture;
  glow: Texture;
  ring: Texture;
  halo: Texture;
  plate: Nine;
  plateLine: Nine;
  hexagon: Texture;
  hexagonLine: Texture;
  fronts: Texture[];
  shadows: Texture[];
  outlines: Texture[];
  /** By size and by how many windows are lit. */
  windows: Texture[][];
  units: Record<Shape, Record<Filling, Texture>>;
  source: Strips;
  destroy(): void;
}

export function windowsOf(size: number): number {
  return WINDOWS.columns * Math.floor((FRONTS[size] ?? FRONTS[0]) / WINDOWS.floor);
}

/** Where the next picture may begin. */
function after(end: number): number {
  return Math.ceil((end + GAP) / GAP) * GAP;
}

function byName<K extends string, T>(names: readonly K[], make: (name: K) => T): Record<K, T> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<K, T>;
}

type Draw = (context: CanvasRenderingContext2D, width: number, height: number) => void;

/** A strip of it at a time, which `send` gives to the card, so that nothing waits for all of it. */
export async function drawAtlas(send: (source: Strips) => Promise<void>): Promise<Atlas> {
  const source = new Strips(WIDTH, HEIGHT);
  let x = GAP;
  let y = GAP;
  let tallest = 0;
  const add = (width: number, height: number, draw: Draw): Texture => {
    const across = Math.ceil(width);
    const down = Math.ceil(height);
    if (x + across + GAP > WIDTH) {
      x = GAP;
      y = after(y + tallest);
      tallest = 0;
      source.row(y);
    }
    if (y + down + GAP > HEIGHT) throw new Error("the map's texture is full");
    source.place(x, y, (context) => draw(context, width, height));
    const texture = new Texture({ source, frame: new Rectangle(x, y, across, down) });
    x = after(x + across);
    tallest = Math.max(tallest, down);
    return texture;
  };
  const ofUnit = (draw: (context: CanvasRenderingContext2D, side: number) => void): Texture =>
    add(UNIT_TEXTURE_PX, UNIT_TEXTURE_PX, (at) => {
      at.scale(UNIT_TEXTURE_PX / UNIT_PX, UNIT_TEXTURE_PX / UNIT_PX);
      draw(at, UNIT_PX);
    });
  const inUnits = (width: number, height: number, draw: Draw): Texture =>
    add(width * DETAIL, height * DETAIL, (at) => {
      at.scale(DETAIL, DETAIL);
      draw(at, width, height);
    });

  const inNine = (hollow: boolean, draw: Draw): Nine => {
    const side = 2 * (CORNER + PLATE_SPILL) + 2 * CORNER;
    const whole = inUnits(side, side, (at) => {
      at.translate(PLATE_SPILL, PLATE_SPILL);
      draw(at, side - 2 * PLATE_SPILL, side - 2 * PLATE_SPILL);
    }).frame;
    const edges = [0, CORNER + PLATE_SPILL, side - CORNER - PLATE_SPILL, side].map((one) => one * DETAIL);
    const parts = Array.from({ length: 9 }, (_, index) => {
      // Nothing is drawn where a line has nothing.
      if (hollow && index === 4) return undefined;
      const [left, right] = [edges[index % 3] ?? 0, edges[(index % 3) + 1] ?? 0];
      const [top, bottom] = [edges[Math.floor(index / 3)] ?? 0, edges[Math.floor(index / 3) + 1] ?? 0];
      return new Texture({ source, frame: new Rectangle(whole.x + left, whole.y + top, right - left, bottom - top) });
    });
    return { parts, spill: PLATE_SPILL / CORNER };
  };

  const plain = {
    roof: inUnits(ROOF.width, ROOF.height, (at, width, height) => {
      const shade = at.createLinearGradient(0, 0, 0, height);
      shade.addColorStop(0, "#fff");
      shade.addColorStop(1, "#e9e9e9");
      at.fillStyle = shade;
      rounded(at, 0, 0, width, height, [RADIUS, RADIUS, 0, 0]);
      at.fill();
    }),
    edge: inUnits(ROOF.width, ROOF.height, (at, width, height) => {
      at.lineWidth = 0.8;
      rounded(at, 0.4, 0.4, width - 0.8, height - 0.8, [RADIUS, RADIUS, 0, 0]);
      at.stroke();
    }),
    hatch: inUnits(ROOF.width, ROOF.height, (at, width, height) => {
      rounded(at, 0, 0, width, height, [RADIUS, RADIUS, 0, 0]);
      at.clip();
      at.lineWidth = 2.6;
      for (let from = -height; from < width; from += 11) {
        at.beginPath();
        at.moveTo(from, height);
        at.lineTo(from + height, 0);
        at.stroke();
      }
    }),
    dot: add(32, 32, (at) => {
      at.arc(16, 16, 15, 0, 2 * Math.PI);
      at.fill();
    }),
    glow: add(128, 128, (at) => {
      const shade = at.createRadialGradient(64, 64, 0, 64, 64, 64);
      shade.addColorStop(0, "rgb(255 255 255 / 0.9)");
      shade.addColorStop(0.35, "rgb(255 255 255 / 0.38)");
      shade.addColorStop(0.7, "rgb(255 255 255 / 0.09)");
      shade.addColorStop(1, "rgb(255 255 255 / 0)");
      at.fillStyle = shade;
      at.fillRect(0, 0, 128, 128);
    }),
    ring: add(128, 128, (at) => {
      at.lineWidth = 7;
      at.arc(64, 64, 58, 0, 2 * Math.PI);
      at.stroke();
    }),
    halo: ofUnit((at, side) => {
      at.lineWidth = 4;
      rounded(at, 3, 3, side - 6, side - 6, [14, 14, 14, 14]);
      at.stroke();
    }),
    plate: inNine(false, (at, width, height) => {
      rounded(at, 0, 0, width, height, [PLATE_RADIUS, PLATE_RADIUS, PLATE_RADIUS, PLATE_RADIUS]);
      at.fill();
    }),
    plateLine: inNine(true, (at, width, height) => {
      at.lineWidth = 1.6;
      rounded(at, 0, 0, width, height, [PLATE_RADIUS, PLATE_RADIUS, PLATE_RADIUS, PLATE_RADIUS]);
      at.stroke();
    }),
    hexagon: add(HEXAGON_PX, HEXAGON_PX, (at, side) => {
      polygon(at, side / 2, side / 2 / HEXAGON_SPILL, 6, -Math.PI / 2);
      at.fill();
    }),
    hexagonLine: add(HEXAGON_PX, HEXAGON_PX, (at, side) => {
      const reach = side / 2 / HEXAGON_SPILL;
      at.lineWidth = (1.8 / 32) * reach;
      polygon(at, side / 2, reach, 6, -Math.PI / 2);
      at.stroke();
    }),
  };
  const fronts = FRONTS.map((front) =>
    inUnits(ROOF.width, front, (at, width, height) => {
      const shade = at.createLinearGradient(0, 0, 0, height);
      shade.addColorStop(0, "#fff");
      shade.addColorStop(1, "#cfcfcf");
      at.fillStyle = shade;
      rounded(at, 0, 0, width, height, [0, 0, RADIUS - 1, RADIUS - 1]);
      at.fill();
    }),
  );
  const shadows = FRONTS.map((front) =>
    inUnits(ROOF.width + SPILL, ROOF.height + front + SPILL, (at, width, height) => {
      at.shadowColor = "#fff";
      at.shadowBlur = 10 * DETAIL;
      at.shadowOffsetX = 4_000;
      rounded(at, SPILL / 2 - 4_000 / DETAIL, SPILL / 2, width - SPILL, height - SPILL, [8, 8, 8, 8]);
      at.fill();
    }),
  );
  const outlines = FRONTS.map((front) =>
    inUnits(ROOF.width + 2 * RING, ROOF.height + front + 2 * RING, (at, width, height) => {
      at.lineWidth = 2;
      rounded(at, 1, 1, width - 2, height - 2, [8, 8, 8, 8]);
      at.stroke();
    }),
  );
  const windows = FRONTS.map((front, size) =>
    Array.from({ length: windowsOf(size) + 1 }, (_, lit) =>
      inUnits(WINDOWS.columns * WINDOWS.pitch, front, (at) => drawWindows(at, front, lit)),
    ),
  );
  const units = byName(SHAPES, (shape) => byName(FILLINGS, (filling) => ofUnit((at) => drawUnit(at, shape, filling))));
  await source.make(() => send(source));
  return { ...plain, fronts, shadows, outlines, windows, units, source, destroy: () => source.destroy() };
}

/** Lit from the ground up, as a gauge. */
function drawWindows(at: CanvasRenderingContext2D, front: number, lit: number): void {
  const floors = Math.floor(front / WINDOWS.floor);
  const top = (front - floors * WINDOWS.floor) / 2 + (WINDOWS.floor - WINDOWS.height) / 2;
  for (let index = 0; index < lit; index += 1) {
    const floor = floors - 1 - Math.floor(index / WINDOWS.columns);
    const x = (index % WINDOWS.columns) * WINDOWS.pitch + (WINDOWS.pitch - WINDOWS.width) / 2;
    rounded(at, x, top + floor * WINDOWS.floor, WINDOWS.width, WINDOWS.height, [0.7, 0.7, 0.7, 0.7]);
    at.fill();
  }
}

/** How high each is above its middle: see UNIT_TOP in model/naming.ts. */
function outline(at: CanvasRenderingContext2D, shape: Shape, inset: number): void {
  const middle = UNIT_PX / 2;
  const reach = (UNIT_PX * UNIT_FILL) / 2 - inset;
  at.beginPath();
  switch (shape) {
    case "process":
      rounded(at, middle - reach * 0.92, middle - reach * 0.92, reach * 1.84, reach * 1.84, [12, 12, 12, 12]);
      break;
    case "docker":
      polygon(at, middle, reach * 1.06, 6, 0);
      break;
    case "wasm":
      polygon(at, middle, reach * 1.12, 4, 0);
      break;
    case "sandbox":
      at.arc(middle, middle, reach, 0, 2 * Math.PI);
      break;
    case "other":
      polygon(at, middle, reach * 1.08, 3, -Math.PI / 2);
      break;
  }
}

function polygon(at: CanvasRenderingContext2D, middle: number, reach: number, corners: number, turn: number): void {
  for (let corner = 0; corner < corners; corner += 1) {
    const angle = turn + (2 * Math.PI * corner) / corners;
    const x = middle + reach * Math.cos(angle);
    const y = middle + reach * Math.sin(angle);
    if (corner) at.lineTo(x, y);
    else at.moveTo(x, y);
  }
  at.closePath();
}

function drawUnit(at: CanvasRenderingContext2D, shape: Shape, filling: Filling): void {
  const shade = at.createLinearGradient(0, 0, 0, UNIT_PX);
  shade.addColorStop(0.1, "#fff");
  shade.addColorStop(0.95, "#c4c4c4");
  at.fillStyle = shade;
  at.lineJoin = "round";
  at.lineWidth = 9;
  switch (filling) {
    case "solid":
      outline(at, shape, 0);
      at.fill();
      break;
    case "hollow":
      outline(at, shape, 4);
      at.stroke();
      break;
    case "half":
      outline(at, shape, 4);
      at.stroke();
      at.clip();
      at.fillRect(0, UNIT_PX / 2, UNIT_PX, UNIT_PX / 2);
      break;
    case "cut":
      outline(at, shape, 0);
      at.fill();
      at.globalCompositeOperation = "destination-out";
      at.lineWidth = 9;
      at.lineCap = "round";
      at.beginPath();
      at.moveTo(UNIT_PX / 2, UNIT_PX * 0.3);
      at.lineTo(UNIT_PX / 2, UNIT_PX * 0.53);
      at.moveTo(UNIT_PX / 2, UNIT_PX * 0.69);
      at.lineTo(UNIT_PX / 2, UNIT_PX * 0.7);
      at.stroke();
      break;
    case "dotted":
      outline(at, shape, 4);
      at.lineWidth = 8;
      at.setLineDash([13, 9]);
      at.stroke();
      break;
  }
  if (shape === "sandbox" && filling === "solid") {
    // Its wall: a circle within a circle.
    at.globalCompositeOperation = "destination-out";
    at.lineWidth = 4;
    at.beginPath();
    at.arc(UNIT_PX / 2, UNIT_PX / 2, UNIT_PX * 0.27, 0, 2 * Math.PI);
    at.stroke();
  }
}

function rounded(
  at: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  radii: [number, number, number, number],
): void {
  at.beginPath();
  at.roundRect(x, y, width, height, radii);
}
