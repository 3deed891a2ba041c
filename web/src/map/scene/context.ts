/**
 * The WebGL context, which the browser may take away at any time: when a graphics card is reset, say, or when too many pages
 * draw. Nothing that was made in it is left then, and every question to it is answered by null.
 */

import type { WebGLRenderer } from "pixi.js";

export class ContextLost extends Error {
  constructor(readonly context: Context) {
    super("the browser took the picture's context away");
  }
}

export class Context {
  readonly canvas = document.createElement("canvas");
  /** Null: this browser draws no WebGL. */
  readonly gl: WebGL2RenderingContext | WebGLRenderingContext | null;
  /** Resolves when it is taken away. */
  readonly taken: Promise<void>;
  /** Resolves when it is given back, empty: whoever drew in it makes another and draws all of it there. */
  readonly givenBack: Promise<void>;
  #wasTaken = false;

  constructor() {
    const { canvas } = this;
    this.taken = new Promise((resolve) => {
      canvas.addEventListener("webglcontextlost", (event) => {
        // Else it would never be given back.
        event.preventDefault();
        this.#wasTaken = true;
        resolve();
      });
    });
    this.givenBack = new Promise((resolve) => {
      canvas.addEventListener("webglcontextrestored", (event) => {
        // PixiJS would make its own part of it anew.
        event.stopImmediatePropagation();
        resolve();
      });
    });
    // As PixiJS asks for it, which then finds it there: to make it is as much as all else that PixiJS begins with.
    const asked: WebGLContextAttributes = { alpha: false, antialias: false, stencil: true };
    this.gl = canvas.getContext("webgl2", asked) ?? canvas.getContext("webgl", asked);
  }

  /** Also after it was given back: what was made in it is not. */
  get lost(): boolean {
    return this.#wasTaken || (this.gl?.isContextLost() ?? false);
  }

  /** Throws `ContextLost` if it is. */
  check(): void {
    if (this.lost) throw new ContextLost(this);
  }

  /** Why something went wrong in it: what is thrown by whoever takes null for an answer says nothing. */
  reason(error: unknown): unknown {
    return this.lost ? new ContextLost(this) : error;
  }

  /**
   * Before what was made in it is deleted. Where it was given back that is not its own any more, and the browser would warn of
   * each; one that is lost takes no notice.
   */
  end(renderer: WebGLRenderer): void {
    if (!this.#wasTaken) return;
    if (!this.gl?.isContextLost()) this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    // PixiJS does the same at its end, which is one time too many.
    delete renderer.context.extensions.loseContext;
  }
}
