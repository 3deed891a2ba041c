/**
 * Whether the graphics card is still busy with the frame before. Where it is slow (a renderer in software), a browser that is
 * given the next one holds up the page until it has caught up; whoever asks here first keeps the page free meanwhile.
 */

/** Longer is not waited, whatever a card does. */
const MOST_MS = 2_000;

export class Pace {
  static readonly POLL_MS = 4;
  readonly #gl: WebGL2RenderingContext | undefined;
  /** Kept after it was passed: what was to be fetched by then is taken to be there as long as it is. */
  #fence: WebGLSync | null = null;
  #passed = true;
  #sinceMs = 0;

  /** `lost`: whether the context is, or was since: then a fence is none of its own. */
  constructor(
    gl: WebGLRenderingContext | WebGL2RenderingContext,
    readonly lost: () => boolean,
  ) {
    this.#gl = "fenceSync" in gl ? gl : undefined;
  }

  /** A frame has been told to the card. */
  drew(): void {
    const gl = this.#gl;
    if (!gl) return;
    this.end();
    this.#fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.#passed = false;
    this.#sinceMs = performance.now();
  }

  /** Nobody asks any more. */
  end(): void {
    if (this.#fence && !this.lost()) this.#gl?.deleteSync(this.#fence);
    this.#fence = null;
  }

  get drawing(): boolean {
    const gl = this.#gl;
    if (!gl || !this.#fence || this.#passed) return false;
    this.#passed =
      this.lost() ||
      gl.getSyncParameter(this.#fence, gl.SYNC_STATUS) === gl.SIGNALED ||
      performance.now() - this.#sinceMs > MOST_MS;
    return !this.#passed;
  }
}

/**
 * Resolves when the card has done all that it was told so far. What asks it for an answer before (a setting, a shader, a
 * frame after a large upload) has the page's thread wait for that.
 */
export async function settled(gl: WebGLRenderingContext | WebGL2RenderingContext, lost: () => boolean): Promise<void> {
  const pace = new Pace(gl, lost);
  pace.drew();
  // A fence says nothing new before the task that set it has ended.
  do await new Promise((resume) => setTimeout(resume, Pace.POLL_MS));
  while (pace.drawing);
  pace.end();
}
