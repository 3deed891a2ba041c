/**
 * Many pictures out of the atlas in one call to the graphics card, in one buffer of which only what was written is sent: a
 * change of one costs the same whether there are ten of them or twenty thousand. Their corners are written out, as whoever
 * draws in software (a browser without a graphics card) takes instanced pictures one by one.
 */
import {
  Buffer,
  BufferUsage,
  type Container,
  Geometry,
  GlProgram,
  Mesh,
  Shader,
  type Texture,
  type TextureSource,
} from "pixi.js";

/** Of a corner: where, where in the atlas, which colour. */
const WORDS = 4;
const CORNERS = 4;
const QUAD = WORDS * CORNERS;
const BYTES = QUAD * 4;

const VERTEX = `
attribute vec2 aPlace;
attribute vec2 aFrame;
attribute vec4 aTint;
uniform mat3 uProjectionMatrix;
uniform mat3 uWorldTransformMatrix;
uniform mat3 uTransformMatrix;
varying vec2 vAt;
varying vec4 vTint;
void main(void) {
  gl_Position = vec4((uProjectionMatrix * uWorldTransformMatrix * uTransformMatrix * vec3(aPlace, 1.0)).xy, 0.0, 1.0);
  vAt = aFrame;
  vTint = vec4(aTint.rgb * aTint.a, aTint.a);
}`;

const FRAGMENT = `
varying vec2 vAt;
varying vec4 vTint;
uniform sampler2D uTexture;
void main(void) {
  gl_FragColor = texture2D(uTexture, vAt) * vTint;
}`;

/** Of all atlases. For its first program PixiJS asks a context of its own what a card can do. */
export function quadProgram(): GlProgram {
  return GlProgram.from({ vertex: VERTEX, fragment: FRAGMENT, name: "quads" });
}

/** Of all that is drawn from one atlas. */
export function quadShader(source: TextureSource): Shader {
  return new Shader({ glProgram: quadProgram(), resources: { uTexture: source, uSampler: source.style } });
}

/** Where each corner of a picture is in the atlas, 16 bits a coordinate. */
const frames = new WeakMap<Texture, Uint32Array>();

function frameOf(texture: Texture): Uint32Array {
  let frame = frames.get(texture);
  if (!frame) {
    const { x0, y0, x2, y2 } = texture.uvs;
    const at = (x: number, y: number) => ((Math.round(y * 65_535) << 16) | Math.round(x * 65_535)) >>> 0;
    frame = new Uint32Array([at(x0, y0), at(x2, y0), at(x2, y2), at(x0, y2)]);
    frames.set(texture, frame);
  }
  return frame;
}

/** Two triangles for each of so many. */
function cornersOf(room: number): Uint32Array {
  const corners = new Uint32Array(room * 6);
  for (let at = 0; at < room; at += 1)
    corners.set(
      [0, 1, 2, 0, 2, 3].map((corner) => CORNERS * at + corner),
      at * 6,
    );
  return corners;
}

export class Quads {
  readonly mesh: Mesh<Geometry, Shader>;
  #floats = new Float32Array(QUAD);
  #words = new Uint32Array(this.#floats.buffer);
  readonly #buffer = new Buffer({ data: this.#floats, usage: BufferUsage.VERTEX | BufferUsage.COPY_DST });
  readonly #index = new Buffer({ data: cornersOf(1), usage: BufferUsage.INDEX | BufferUsage.COPY_DST });
  #room = 1;
  #shown = 0;
  #first = 0;
  #end = 0;

  constructor(shader: Shader, parent: Container) {
    const part = (format: "float32x2" | "unorm16x2" | "unorm8x4", offset: number) => ({
      buffer: this.#buffer,
      format,
      offset,
      stride: WORDS * 4,
    });
    const geometry = new Geometry({
      attributes: { aPlace: part("float32x2", 0), aFrame: part("unorm16x2", 8), aTint: part("unorm8x4", 12) },
      indexBuffer: this.#index,
    });
    this.mesh = new Mesh({ geometry, shader });
    this.mesh.visible = false;
    parent.addChild(this.mesh);
  }

  get room(): number {
    return this.#room;
  }

  /** Room for so many, all of them unseen. */
  clear(room: number): void {
    if (room > this.#room) {
      this.#room = room;
      this.#floats = new Float32Array(room * QUAD);
      this.#words = new Uint32Array(this.#floats.buffer);
      this.#buffer.data = this.#floats;
      this.#index.data = cornersOf(room);
    } else this.#floats.fill(0);
    this.#shown = 0;
    this.#first = 0;
    this.#end = this.#room;
  }

  /** Other room, to which some of what there is goes: `moves` are from, to, how many. The rest is unseen. */
  relay(room: number, moves: readonly (readonly [number, number, number])[]): void {
    const had = this.#words.slice();
    this.clear(room);
    for (const [from, to, count] of moves) {
      this.#words.set(had.subarray(from * QUAD, (from + count) * QUAD), to * QUAD);
    }
  }

  /** So many from the first on are drawn: those behind them are no more. */
  show(count: number): void {
    this.hide(count, this.#shown);
    this.#shown = count;
    this.mesh.visible = count > 0;
  }

  set(
    at: number,
    texture: Texture,
    x: number,
    y: number,
    width: number,
    height: number,
    tint: number,
    alpha: number,
  ): void {
    const floats = this.#floats;
    const words = this.#words;
    const frame = frameOf(texture);
    const opaque = Math.round(Math.min(1, Math.max(0, alpha)) * 255);
    const colour = ((opaque << 24) | ((tint & 255) << 16) | (tint & 0xff00) | ((tint >> 16) & 255)) >>> 0;
    // Written out, as this is what a frame consists of.
    const from = at * QUAD;
    const right = x + width;
    const bottom = y + height;
    floats[from] = x;
    floats[from + 1] = y;
    words[from + 2] = frame[0] as number;
    words[from + 3] = colour;
    floats[from + 4] = right;
    floats[from + 5] = y;
    words[from + 6] = frame[1] as number;
    words[from + 7] = colour;
    floats[from + 8] = right;
    floats[from + 9] = bottom;
    words[from + 10] = frame[2] as number;
    words[from + 11] = colour;
    floats[from + 12] = x;
    floats[from + 13] = bottom;
    words[from + 14] = frame[3] as number;
    words[from + 15] = colour;
    this.#wrote(at, at + 1);
  }

  hide(from: number, end = from + 1): void {
    if (end <= from) return;
    this.#floats.fill(0, from * QUAD, end * QUAD);
    this.#wrote(from, end);
  }

  /**
   * Send what was written. Only before a frame that shows it: one range is sent, the last that was told. What is not shown
   * at all is not sent with any frame, and is kept until it is.
   */
  commit(): void {
    if (this.#end <= this.#first || !this.mesh.visible) return;
    this.#buffer.update((this.#end - this.#first) * BYTES, this.#first * BYTES);
    this.#first = this.#room;
    this.#end = 0;
  }

  destroy(): void {
    const { geometry } = this.mesh;
    this.mesh.destroy();
    // The shader is of all of them.
    geometry.destroy(true);
  }

  #wrote(from: number, end: number): void {
    if (from < this.#first) this.#first = from;
    if (end > this.#end) this.#end = end;
  }
}
