/**
 * A texture that is drawn and sent to the graphics card in strips, from above downwards, each a task of its own: to draw a
 * large one and copy it to the card at once holds up the page for as long as all of it takes.
 */
import { ExtensionType, extensions, type GlTexture, TextureSource } from "pixi.js";
import { turn } from "../../state/turn";

type Draw = (context: CanvasRenderingContext2D) => void;

interface Picture {
  x: number;
  y: number;
  draw: Draw;
}

interface Strip {
  canvas: HTMLCanvasElement;
  top: number;
}

/** A row of pictures ends the strip that is as high as this, px. */
const STRIP_PX = 256;
const UPLOAD = "strips";

export class Strips extends TextureSource {
  override uploadMethodId = UPLOAD;
  /** What is drawn: kept, as the card may forget it. */
  readonly drawn: Strip[] = [];
  /** How many of them each texture of the card has. */
  readonly sent = new WeakMap<WebGLTexture, number>();
  /** Where each row of pictures begins. */
  readonly #rows: number[] = [];
  readonly #pictures: Picture[] = [];

  constructor(width: number, height: number) {
    super({
      width,
      height,
      // Made when all of it is there, not with each strip.
      mipLevelCount: Math.floor(Math.log2(Math.max(width, height))) + 1,
      scaleMode: "linear",
      // Between two sizes of it nothing is mixed: that would be half of what a renderer in software does for a picture.
      mipmapFilter: "nearest",
      // All is drawn from it: if it were given up while the map is at rest, the next frame would send it at once.
      autoGarbageCollect: false,
    });
  }

  /** Pictures are placed row by row, from above downwards. */
  row(y: number): void {
    this.#rows.push(y);
  }

  place(x: number, y: number, draw: Draw): void {
    this.#pictures.push({ x, y, draw });
  }

  /** Draw all that was placed; `send` has each strip sent before the next. */
  async make(send: () => Promise<void>): Promise<void> {
    // Room for it first, which is as much as a strip.
    await send();
    let top = 0;
    for (const end of [...this.#rows, this.pixelHeight]) {
      if (end - top < STRIP_PX && end < this.pixelHeight) continue;
      this.drawn.push({ canvas: this.#draw(top, end), top });
      top = end;
      await turn();
      await send();
    }
    this.#pictures.length = 0;
    // If the card forgets them, they are sent together.
    this.autoGenerateMipmaps = true;
    this.updateMipmaps();
  }

  #draw(top: number, end: number): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.width = this.pixelWidth;
    canvas.height = end - top;
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser gives no canvas to draw on");
    for (const { x, y, draw } of this.#pictures) {
      if (y < top || y >= end) continue;
      context.save();
      context.translate(x, y - top);
      context.beginPath();
      context.fillStyle = "#fff";
      context.strokeStyle = "#fff";
      draw(context);
      context.restore();
    }
    return canvas;
  }
}

/** Gives a texture of the card what it lacks. */
export function upload(source: TextureSource, texture: GlTexture, gl: WebGL2RenderingContext): void {
  if (!(source instanceof Strips)) return;
  const { target, internalFormat, format, type } = texture;
  const { pixelWidth: width, pixelHeight: height } = source;
  if (texture.width !== width || texture.height !== height) {
    gl.texImage2D(target, 0, internalFormat, width, height, 0, format, type, null);
    texture.width = width;
    texture.height = height;
  }
  const sent = source.sent.get(texture.texture) ?? 0;
  for (const { canvas, top } of source.drawn.slice(sent)) gl.texSubImage2D(target, 0, 0, top, format, type, canvas);
  source.sent.set(texture.texture, source.drawn.length);
}

extensions.add({ extension: { type: ExtensionType.TextureUploaderWebGL, name: UPLOAD }, id: UPLOAD, upload });
