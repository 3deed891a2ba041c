/** Steps that are asked for quicker than one can be taken: each press counts, in the order in which they came. Pure. */

/** More are not kept: who wants to go that far has the slider. */
const MOST = 50;

/** `end`: there is nothing further that way. `elsewhere`: what is asked for besides was meant from where nobody is now. */
export type Step = "taken" | "end" | "elsewhere";

export class Pressed {
  #waiting: (1 | -1)[] = [];
  #going = false;

  /** `step`: takes one. What it throws, `take` does, and the rest is forgotten. */
  constructor(readonly step: (by: 1 | -1) => Promise<Step>) {}

  /** `held`: a key that repeats itself goes on as quickly as it can, and ends when it is let go. */
  async take(by: 1 | -1, held = false): Promise<void> {
    if (held && this.#going) return;
    if (this.#waiting.length < MOST) this.#waiting.push(by);
    if (this.#going) return;
    this.#going = true;
    try {
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
        const came = await this.step(next);
        if (came === "elsewhere") break;
        // At the end the rest of that way leads nowhere either; a way back from there does.
        while (came === "end" && this.#waiting[0] === next) this.#waiting.shift();
      }
    } finally {
      this.#waiting = [];
      this.#going = false;
    }
  }
}
