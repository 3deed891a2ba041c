/**
 * Output of many instances as lines in order: chunks come in pieces, each instance's in its own order, and are merged by
 * when they were written. Bounded: the oldest lines go first. Pure.
 */
import type { LogChunk } from "../../api/types";

export interface Line {
  /** Counted up; the same line has the same. */
  id: number;
  atMs: number;
  who: string;
  /** note: not written by the instance, but said about its output. */
  stream: "stdout" | "stderr" | "note";
  text: string;
}

export const MOST_LINES = 10_000;
/** A line without an end is cut there. */
export const LONGEST = 4_000;

export class Lines {
  readonly #most: number;
  #lines: Line[] = [];
  #open = new Map<string, { atMs: number; text: string }>();
  #last = 0;
  dropped = 0;

  constructor(most = MOST_LINES) {
    this.#most = most;
  }

  get all(): readonly Line[] {
    return this.#lines;
  }

  take(who: string, chunk: LogChunk): void {
    const at = `${who} ${chunk.stream}`;
    if (chunk.gap) {
      this.#finish(at, who, chunk.stream);
      this.note(who, chunk.at_ms, "output that was here is not kept any more");
    }
    let open = this.#open.get(at) ?? { atMs: chunk.at_ms, text: "" };
    const pieces = chunk.text.split("\n");
    pieces.forEach((piece, index) => {
      if (!open.text) open.atMs = chunk.at_ms;
      open.text += piece;
      while (open.text.length > LONGEST) {
        this.#put(who, open.atMs, chunk.stream, open.text.slice(0, LONGEST));
        open.text = open.text.slice(LONGEST);
      }
      if (index === pieces.length - 1) return;
      this.#put(who, open.atMs, chunk.stream, open.text);
      open = { atMs: chunk.at_ms, text: "" };
    });
    if (open.text) this.#open.set(at, open);
    else this.#open.delete(at);
  }

  note(who: string, atMs: number, text: string): void {
    this.#put(who, atMs, "note", text);
  }

  /** What was written without an end of line is a line too, once nothing follows. */
  end(who: string): void {
    for (const stream of ["stdout", "stderr"] as const) this.#finish(`${who} ${stream}`, who, stream);
  }

  #finish(at: string, who: string, stream: "stdout" | "stderr"): void {
    const open = this.#open.get(at);
    this.#open.delete(at);
    if (open?.text) this.#put(who, open.atMs, stream, open.text);
  }

  #put(who: string, atMs: number, stream: Line["stream"], text: string): void {
    this.#last += 1;
    const line = { id: this.#last, atMs, who, stream, text: text.replace(/\r$/, "") };
    // Nearly always the newest; of one stream of one instance the order is as written, whatever its clock says.
    let place = this.#lines.length;
    while (place > 0) {
      const before = this.#lines[place - 1];
      if (!before || before.atMs <= atMs || (before.who === who && before.stream === stream)) break;
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
