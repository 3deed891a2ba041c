/**
 * PixiJS's renderer, made in steps of which none holds up the page for long: what asks the card for an answer has the page's
 * thread wait for it, and PixiJS asks for much at once when it begins. What was asked before it finds answered.
 */
import "pixi.js/unsafe-eval"; // which is the part of PixiJS that makes no code of texts, as the page's policy demands
import { Ticker, WebGLRenderer } from "pixi.js";
import { turn } from "../../state/turn";
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

export interface Opened {
  renderer: WebGLRenderer;
  /** Resolves when the card has done what it was told so far. */
  quiet(): Promise<void>;
}

/** `scale`: pixels of the screen for one of the page. Throws if this browser draws no WebGL. */
export async function openRenderer(ground: number, scale: number): Promise<Opened> {
  const canvas = document.createElement("canvas");
  // As PixiJS asks for it, which then finds it there: to make it is as much as all else that PixiJS begins with.
  const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, stencil: true });
  const quiet = () => (gl ? settled(gl) : turn());
  await quiet();
  for (const name of EXTENSIONS) {
    gl?.getExtension(name);
    await turn();
  }
  // For its first program PixiJS makes a context of its own and asks that what a card can do.
  quadProgram();
  await quiet();
  const renderer = new WebGLRenderer();
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
  return { renderer, quiet };
}
