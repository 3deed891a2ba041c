/** The output of one instance, from Nexus, as long as it goes on; tried again after a break, without a line twice. */
import { refusal } from "../../api/client";
import { proof } from "../../api/session";
import type { LogChunk } from "../../api/types";

const AGAIN_MS = 2_000;

export interface Follower {
  chunk(chunk: LogChunk): void;
  /** It stopped for this reason, and is tried again; empty: it goes on. */
  trouble(why: string): void;
  /** Whether the instance will write nothing more: what is followed ends with each attempt. */
  over(): boolean;
  ended(): void;
}

/** Until `signal`. `following`: the answer stays open; else it is asked again every so often, for browsers have six
 * connections to a host. */
export async function follow(
  id: string,
  tail: number,
  following: boolean,
  follower: Follower,
  signal: AbortSignal,
): Promise<void> {
  let after = "";
  while (!signal.aborted) {
    try {
      const asked = new URLSearchParams({ follow: String(following) });
      if (after) asked.set("after", after);
      else asked.set("tail", String(tail));
      const response = await fetch(`/v1/instances/${encodeURIComponent(id)}/logs?${asked}`, {
        headers: { Accept: "application/x-ndjson", "Omnitide-Proof": proof() },
        credentials: "same-origin",
        cache: "no-store",
        signal,
      });
      if (!response.ok || !response.body) throw await refusal(response);
      follower.trouble("");
      for await (const item of items(response.body)) {
        if ("problem" in item) throw new Error(item.problem.detail);
        if (item.position) after = item.position;
        follower.chunk(item);
      }
      if (following && follower.over()) {
        follower.ended();
        return;
      }
    } catch (error) {
      if (signal.aborted) return;
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

type Item = LogChunk | { problem: { detail: string } };

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
