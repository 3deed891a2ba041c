/** Lines of output from Nexus, as long as they go on; asked again after a break, without a line twice. */
import { refusal } from "../../api/client";
import { proof } from "../../api/session";
import type { OutputLine } from "../../api/types";

const AGAIN_MS = 2_000;
/** Asked again from so long before the last line. */
const OVERLAP_MS = 2_000;
const SEEN = 20_000;

export interface Follower {
  line(line: OutputLine): void;
  /** All that there was has come, or is missing as notes say; what comes now is written from now on. */
  caughtUp(): void;
  /** It stopped for this reason, and is tried again; empty: it goes on. */
  trouble(why: string): void;
  /** It cannot be asked like this. */
  refused(why: string): void;
  ended(): void;
}

/** What came lately. Lines that are the same in everything are told apart by how many there were. */
export class Seen {
  #seen = new Map<string, { atMs: number; count: number }>();
  #again: Map<string, number> | undefined;
  newestMs = 0;

  /** From here on lines may come that came already. */
  repeat(): void {
    this.#again = new Map();
  }

  isNew(line: OutputLine): boolean {
    const key = `${line.instance} ${line.node_at_ms} ${line.stream} ${line.text}`;
    if (this.#again) {
      const times = (this.#again.get(key) ?? 0) + 1;
      this.#again.set(key, times);
      if (times <= (this.#seen.get(key)?.count ?? 0)) return false;
    }
    this.#seen.set(key, { atMs: line.at_ms, count: (this.#seen.get(key)?.count ?? 0) + 1 });
    this.newestMs = Math.max(this.newestMs, line.at_ms);
    if (this.#seen.size > SEEN) {
      const floor = this.newestMs - 2 * OVERLAP_MS;
      for (const [one, { atMs }] of this.#seen) if (atMs < floor) this.#seen.delete(one);
    }
    return true;
  }
}

/** Until `signal`. `query`: as `queryOf` makes it; `last`: the newest so many lines, of all together. */
export async function followLines(
  query: URLSearchParams,
  last: number,
  goesOn: boolean,
  follower: Follower,
  signal: AbortSignal,
): Promise<void> {
  const seen = new Seen();
  while (!signal.aborted) {
    try {
      const asked = new URLSearchParams(query);
      asked.set("follow", String(goesOn));
      if (goesOn) asked.set("mark_caught_up", "true");
      if (seen.newestMs) asked.set("since", new Date(seen.newestMs - OVERLAP_MS).toISOString());
      else asked.set("last", String(last));
      const response = await askLines(asked, "application/x-ndjson", signal);
      if (!response.ok || !response.body) {
        const why = await refusal(response);
        if (response.status === 400 || response.status === 404 || response.status === 422) {
          follower.refused(why.message);
          return;
        }
        throw why;
      }
      follower.trouble("");
      for await (const item of items(response.body)) {
        if ("problem" in item) throw new Error(item.problem.detail);
        if (item.stream === "note" && item.code === "caught-up") follower.caughtUp();
        else if (item.stream === "note" || seen.isNew(item)) follower.line(item);
      }
      follower.ended();
      return;
    } catch (error) {
      if (signal.aborted) return;
      seen.repeat();
      follower.trouble(error instanceof TypeError ? "Nexus cannot be reached" : String((error as Error).message));
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, AGAIN_MS);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

export function askLines(query: URLSearchParams, form: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`/v1/logs?${query}`, {
    headers: { Accept: form, "Omnitide-Proof": proof() },
    credentials: "same-origin",
    cache: "no-store",
    signal: signal ?? null,
  });
}

type Item = OutputLine | { problem: { detail: string } };

async function* items(body: ReadableStream<Uint8Array>): AsyncGenerator<Item> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line) yield JSON.parse(line) as Item;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}
