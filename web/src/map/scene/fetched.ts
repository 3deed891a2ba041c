/**
 * A picture that is fetched when it is done. Without a graphics card a browser draws WebGL by its processor, and to show a
 * canvas of it reads each picture back while the page stands still. There the renderer's canvas is in no page; its picture
 * is asked for, and put on a plain canvas once it is there.
 */

const EMULATED = /swiftshader|llvmpipe|softpipe|software|basic render/i;

export function emulated(gl: WebGLRenderingContext | WebGL2RenderingContext): gl is WebGL2RenderingContext {
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  return "fenceSync" in gl && EMULATED.test(name);
}

export class Fetched {
  readonly #gl: WebGL2RenderingContext;
  readonly #context: CanvasRenderingContext2D;
  readonly #buffer: WebGLBuffer;
  /** As large as the picture that is on its way. */
  #image: ImageData | undefined;

  /** Throws if this browser has no room for it. */
  constructor(
    gl: WebGL2RenderingContext,
    readonly canvas: HTMLCanvasElement,
  ) {
    const context = canvas.getContext("2d", { alpha: false });
    const buffer = gl.createBuffer();
    if (!context || !buffer) throw new Error("the picture cannot be fetched");
    this.#gl = gl;
    this.#context = context;
    this.#buffer = buffer;
    // WebGL has the lowest row first.
    canvas.style.transform = "scaleY(-1)";
  }

  /** Of what has just been drawn. A fence that is set after it tells when it is there. */
  begin(): void {
    const gl = this.#gl;
    // It has no size then, either.
    if (gl.isContextLost()) return;
    const { drawingBufferWidth: width, drawingBufferHeight: height } = gl;
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.#buffer);
    if (this.#image?.width !== width || this.#image.height !== height) this.#image = new ImageData(width, height);
    // Of its own each time: Chromium's quick way to read it is for what was written once.
    gl.bufferData(gl.PIXEL_PACK_BUFFER, this.#image.data.length, gl.STREAM_READ);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, 0);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
  }

  show(): void {
    const gl = this.#gl;
    const image = this.#image;
    if (!image || gl.isContextLost()) return;
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.#buffer);
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, image.data);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    const { canvas } = this;
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
    }
    this.#context.putImageData(image, 0, 0);
  }

  destroy(): void {
    this.#gl.deleteBuffer(this.#buffer);
    this.canvas.remove();
  }
}
