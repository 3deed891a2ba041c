/**
 * PixiJS's renderer, made in steps of which none holds up the page for long: what asks the card for an answer has the page's
 * thread wait for it, and PixiJS asks for much at once when it begins. What was asked before it finds answered.
 */
import "pixi.js/unsafe-eval"; // which is the part of PixiJS that makes no code of texts, as the page's policy demands
import { GlLimitsSystem, Ticker, WebGLRenderer } from "pixi.js";
import { turn } from "../../state/turn";
import { Context } from "./context";
import { emulated } from "./fetched";
import { settled } from "./pace";
import { quadProgram } from "./quads";

/** Of those that PixiJS asks for, those that a card may have: each that it has is begun when it is first asked for. */
const EXTENSIONS = [
  "EXT_texture_filter_anisotropic",
  "OES_texture_float_linear",
  "WEBGL_compressed_texture_s3tc",
  "WEBGL_compressed_texture_s3tc_srgb",
  "WEBGL_compressed_texture_etc",
  "WEBGL_compressed_texture_etc1",
  "WEBGL_compressed_texture_astc",
  "EXT_texture_compression_bptc",
  "EXT_texture_compression_rgtc",
  "EXT_color_buffer_float",
  "WEBGL_provoking_vertex",
];

/** What every card has, WebGL's least. */
const TEXTURES = 16;

/**
 * As PixiJS's own, which however looks for the largest shader that the card compiles, and goes on for ever if the context is
 * lost meanwhile: in the midst of a task a page is not told so. Nothing here is drawn by such shaders.
 */
const limits = {
  contextChange(this: GlLimitsSystem, gl: WebGL2RenderingContext): void {
    this.maxTextures = gl.getParameter(gl.MAX_TEXTURE_IMAGE_UNITS) ?? TEXTURES;
    this.maxBatchableTextures = Math.min(this.maxTextures, TEXTURES);
    this.maxUniformBindings = "fenceSync" in gl ? gl.getParameter(gl.MAX_UNIFORM_BUFFER_BINDINGS) : 0;
  },
};
Object.assign(GlLimitsSystem.prototype, limits);

export interface Opened {
  renderer: WebGLRenderer;
  context: Context;
  /** Resolves when the card has done what it was told so far. Throws `ContextLost`. */
  quiet(): Promise<void>;
}

/**
 * What `make` makes of it; `scale`: pixels of the screen for one of the page. Nothing is left of it where that fails. Throws
 * if this browser draws no WebGL, or `ContextLost`.
 */
export async function openRenderer<T>(ground: number, scale: number, make: (opened: Opened) => Promise<T>): Promise<T> {
  const context = new Context();
  const { gl } = context;
  const quiet = async () => {
    await (gl ? settled(gl, () => context.lost) : turn());
    context.check();
  };
  const renderer = new WebGLRenderer();
  try {
    await init(renderer, { ground, scale, context, quiet });
    return await make({ renderer, context, quiet });
  } catch (error) {
    const reason = context.reason(error);
    try {
      context.end(renderer);
      renderer.destroy();
    } catch {
      // There may be nothing of it yet.
    }
    throw reason;
  }
}

interface Begun extends Omit<Opened, "renderer"> {
  ground: number;
  scale: number;
}

async function init(renderer: WebGLRenderer, { ground, scale, context, quiet }: Begun): Promise<void> {
  const { canvas, gl } = context;
  await quiet();
  for (const name of EXTENSIONS) {
    gl?.getExtension(name);
    await turn();
  }
  // For its first program PixiJS makes a context of its own and asks that what a card can do.
  quadProgram();
  await quiet();
  await renderer.init({
    canvas,
    antialias: false,
    backgroundColor: ground,
    resolution: gl && emulated(gl) ? 1 : scale,
    autoDensity: false,
    preference: "webgl",
    hello: false,
    eventMode: "none",
    skipExtensionImports: true,
  } as Parameters<WebGLRenderer["init"]>[0]);
  // PixiJS looks after its stores in each of the browser's frames, for ever: here with those that draw something.
  Ticker.system.autoStart = false;
  Ticker.system.stop();
  await quiet();
}
