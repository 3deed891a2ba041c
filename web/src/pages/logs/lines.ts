/**
 * Lines of output as they are shown: in order of time, of which what comes late takes its place. Bounded: the oldest
 * go first. Pure.
 */
import type { OutputLine } from "../../api/types";

export interface Line {
  /** Counted up; the same line has the same. */
  id: number;
  atMs: number;
  who: string;
  /** note: not written by an instance, but said about its output. */
  stream: OutputLine["stream"];
  text: string;
}

export const MOST_LINES = 10_000;
/** A longer line is cut there. */
export const LONGEST = 4_000;

export class Lines {
  readonly #most: number;
  #lines: Line[] = [];
  #last = 0;
  dropped = 0;

  constructor(most = MOST_LINES) {
    this.#most = most;
  }

  get all(): readonly Line[] {
    return this.#lines;
  }

  take(one: OutputLine): void {
    this.#last += 1;
    const text = one.text.length > LONGEST ? `${one.text.slice(0, LONGEST)}…` : one.text;
    const who = one.name || one.node;
    const line = { id: this.#last, atMs: one.at_ms, who, stream: one.stream, text };
    // Nearly always the newest; of one stream of one instance the order is as written, whatever its clock says.
    let place = this.#lines.length;
    while (place > 0) {
      const before = this.#lines[place - 1];
      if (!before || before.atMs <= line.atMs || (before.who === who && before.stream === one.stream)) break;
      place -= 1;
    }
    if (place === this.#lines.length) this.#lines.push(line);
    else this.#lines.splice(place, 0, line);
    if (this.#lines.length > this.#most * 1.1) {
      this.dropped += this.#lines.length - this.#most;
      this.#lines = this.#lines.slice(-this.#most);
    }
  }
}
