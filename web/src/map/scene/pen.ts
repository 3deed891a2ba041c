/**
 * Writes on the canvas above the picture, in whole pixels, and knows how wide a text is and what place is taken. Texts are
 * written together, those of one font at a time, as to change it is what costs; so they are above all grounds until then.
 */
import { turn } from "../../state/turn";
import type { Screen } from "../model/camera";
import { within } from "../model/fitting";
import { type Box, meets } from "../model/geometry";

const FAMILY = '"Inter Variable", system-ui, sans-serif';
/** The least height of letters that is read, px. */
export const LEAST_PX = 10.5;
/** From one line of such letters to the next. */
export const LINE_PX = 11.5;
/** Weights and sizes of the names that are seen from afar. */
const FIRST_FONTS = [
  [600, 12],
  [450, 11.5],
  [620, 19],
  [560, 11],
  [620, LEAST_PX],
  [580, LEAST_PX],
  [500, LEAST_PX],
  [480, LEAST_PX],
] as const;
const FIRST_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz-";
/** Letters of Latin scripts, with digits and marks: what is beyond may be joined or put one over another. */
const PLAIN = 0x250;

interface Written {
  text: string;
  x: number;
  y: number;
  colour: string;
  align: CanvasTextAlign;
}

export class Pen {
  readonly context: CanvasRenderingContext2D;
  readonly #widths = new Map<string, number>();
  /** By font, the width of each plain letter; 0: not measured yet. */
  readonly #letters = new Map<string, Float32Array>();
  /** By font: what is to be written. */
  readonly #texts = new Map<string, Written[]>();
  /** The one that texts are measured and to be written in, and the one that the canvas has. */
  #font = "";
  #set = "";
  #taken: Box[] = [];

  constructor(readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser gives no canvas to draw on");
    this.context = context;
  }

  /** Measure what a first picture is named in, a font at a time: the first letter of each costs as much as all names later. */
  async prepare(): Promise<void> {
    // As they will be written: else the browser would look each up anew.
    this.context.textRendering = "optimizeSpeed";
    for (const [weight, px] of FIRST_FONTS) {
      this.#set = "";
      this.use(weight, px);
      this.width(FIRST_LETTERS);
      await turn();
    }
  }

  /** An empty canvas, of which nothing is taken. It has its size here alone: with another it forgets what is written on it. */
  clear(screen: Screen, scale: number): void {
    const { canvas } = this;
    const [width, height] = [Math.round(screen.width * scale), Math.round(screen.height * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.context.clearRect(0, 0, screen.width, screen.height);
    this.context.textBaseline = "middle";
    // Letter by letter, as `width` counts; and nothing that stands for others, such as × for an x between digits.
    this.context.textRendering = "optimizeSpeed";
    this.#font = this.#set = "";
    this.#texts.clear();
    this.#taken = [];
  }

  use(weight: number, px: number): void {
    this.#font = `${weight} ${px}px ${FAMILY}`;
  }

  /** What is `use`d is asked of the canvas where a text is measured or written. */
  #dip(font: string): void {
    if (font === this.#set) return;
    this.#set = font;
    this.context.font = font;
  }

  text(text: string, x: number, y: number, colour: string, align: CanvasTextAlign = "left"): void {
    const one = { text, x: Math.round(x), y: Math.round(y) + 0.5, colour, align };
    const others = this.#texts.get(this.#font);
    if (others) others.push(one);
    else this.#texts.set(this.#font, [one]);
  }

  /** Write all texts there are. */
  flush(): void {
    for (const [font, texts] of this.#texts) {
      this.#dip(font);
      for (const { text, x, y, colour, align } of texts) {
        this.context.fillStyle = colour;
        this.context.textAlign = align;
        this.context.fillText(text, x, y);
      }
    }
    this.#texts.clear();
  }

  /** Below a text that lies over whatever is there. */
  ground(box: Box, colour: string): void {
    this.context.fillStyle = colour;
    this.context.beginPath();
    this.context.roundRect(box.x, box.y, box.width, box.height, 5);
    this.context.fill();
  }

  /** Of plain letters the sum of theirs, which is nearly it and costs a tenth; of other scripts as it is measured. */
  readonly width = (text: string): number => {
    let letters = this.#letters.get(this.#font);
    if (!letters) {
      letters = new Float32Array(PLAIN);
      this.#letters.set(this.#font, letters);
    }
    let sum = 0;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code >= PLAIN) return this.#measured(text);
      sum += letters[code] || this.#letter(letters, code);
    }
    return sum;
  };

  #letter(letters: Float32Array, code: number): number {
    this.#dip(this.#font);
    const { width } = this.context.measureText(String.fromCharCode(code));
    letters[code] = width;
    return width;
  }

  #measured(text: string): number {
    const key = `${this.#font}|${text}`;
    let width = this.#widths.get(key);
    if (width === undefined) {
      if (this.#widths.size > 20_000) this.#widths.clear();
      this.#dip(this.#font);
      width = this.context.measureText(text).width;
      this.#widths.set(key, width);
    }
    return width;
  }

  within(text: string, room: number): string {
    return within(text, room, this.width);
  }

  isFree(box: Box): boolean {
    return !this.#taken.some((one) => meets(one, box));
  }

  /** Takes a place, unless some of it is taken. */
  take(box: Box): boolean {
    if (!this.isFree(box)) return false;
    this.#taken.push(box);
    return true;
  }

  /** Takes it in any case. */
  keep(box: Box): void {
    this.#taken.push(box);
  }
}
