/** Steps that are asked for quicker than one can be taken: each press counts, and one the other way takes one back. Pure. */

/** More are not kept: who wants to go that far has the slider. */
const MOST = 50;

export class Pressed {
  #left = 0;
  #going = false;

  /** `step`: takes one; whether further ones make sense after it. What it throws, `take` does, and the rest is forgotten. */
  constructor(readonly step: (by: 1 | -1) => Promise<boolean>) {}

  /** `held`: a key that repeats itself goes on as quickly as it can, and ends when it is let go. */
  async take(by: 1 | -1, held = false): Promise<void> {
    if (held && this.#going) return;
    this.#left = Math.max(-MOST, Math.min(MOST, this.#left + by));
    if (this.#going) return;
    this.#going = true;
    try {
      while (this.#left) {
        const next = this.#left > 0 ? 1 : -1;
        this.#left -= next;
        if (!(await this.step(next))) break;
      }
    } finally {
      this.#left = 0;
      this.#going = false;
    }
  }
}
