/**
 * Whether the graphics card is still busy with the frame before. Where it is slow (a renderer in software), a browser that is
 * given the next one holds up the page until it has caught up; whoever asks here first keeps the page free meanwhile.
 */

/** Longer is not waited: a context that was lost answers nothing. */
const MOST_MS = 2_000;

export class Pace {
  static readonly POLL_MS = 4;
  readonly #gl: WebGL2RenderingContext | undefined;
  /** Kept after it was passed: what was to be fetched by then is taken to be there as long as it is. */
  #fence: WebGLSync | null = null;
  #passed = true;
  #sinceMs = 0;

  constructor(gl: WebGLRenderingContext | WebGL2RenderingContext) {
    this.#gl = "fenceSync" in gl ? gl : undefined;
  }

  /** A frame has been told to the card. */
  drew(): void {
    const gl = this.#gl;
    if (!gl) return;
    if (this.#fence) gl.deleteSync(this.#fence);
    this.#fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.#passed = false;
    this.#sinceMs = performance.now();
  }

  get drawing(): boolean {
    const gl = this.#gl;
    if (!gl || !this.#fence || this.#passed) return false;
    this.#passed =
      gl.getSyncParameter(this.#fence, gl.SYNC_STATUS) === gl.SIGNALED || performance.now() - this.#sinceMs > MOST_MS;
    return !this.#passed;
  }
}
