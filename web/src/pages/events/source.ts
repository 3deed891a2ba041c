/** Events from Nexus: the newest, those before, and a socket for what comes. */
import { request } from "../../api/client";
import { proof } from "../../api/session";
import type { CloudEvent, EventPage } from "../../api/types";

export interface Wanted {
  /** `instance`, `agent.created`; empty for all. */
  kind: string;
  namespace: string;
  /** `agent/default/web`; empty for all. */
  subject: string;
}

const PAGE = 200;
/** Going back, so many revisions at a time; more where a filter leaves little. */
const FIRST_STRIDE = 400;
const LONGEST_STRIDE = 100_000;
/** So many questions for one page, then what was found is enough. */
const TRIES = 12;
const AGAIN_MS = 2_000;

export function asked(wanted: Wanted): URLSearchParams {
  const found = new URLSearchParams();
  if (wanted.kind) found.append("kinds", wanted.kind);
  if (wanted.namespace) found.set("namespace", wanted.namespace);
  if (wanted.subject) found.set("subject", wanted.subject);
  return found;
}

/** Oldest first. Throws Refused. */
export async function newestEvents(wanted: Wanted, count: number, signal: AbortSignal): Promise<EventPage> {
  const query = asked(wanted);
  query.set("last", String(count));
  return request<EventPage>("GET", `/v1/events?${query}`, undefined, signal);
}

export interface Older {
  events: CloudEvent[];
  /** There is nothing before these. */
  complete: boolean;
}

/** A page of what was before a revision. Throws Refused. */
export async function olderEvents(wanted: Wanted, revision: number, signal: AbortSignal): Promise<Older> {
  let to = revision;
  let stride = FIRST_STRIDE;
  const events: CloudEvent[] = [];
  for (let tries = 0; tries < TRIES && to > 1 && events.length < PAGE; tries += 1) {
    const from = Math.max(0, to - stride - 1);
    events.push(...(await between(wanted, from, to, signal)));
    to = from + 1;
    stride = Math.min(LONGEST_STRIDE, stride * 3);
  }
  return { events, complete: to <= 1 };
}

async function between(wanted: Wanted, after: number, before: number, signal: AbortSignal): Promise<CloudEvent[]> {
  const found: CloudEvent[] = [];
  let at = after;
  let skip = 0;
  for (;;) {
    const query = asked(wanted);
    query.set("after", String(at));
    query.set("skip", String(skip));
    query.set("limit", "1000");
    const page = await request<EventPage>("GET", `/v1/events?${query}`, undefined, signal);
    found.push(...page.items.filter((one) => one.revision < before));
    const last = page.items.at(-1);
    if (!page.more || page.next_after >= before || (last && last.revision >= before)) return found;
    at = page.next_after;
    skip = page.next_skip ?? 0;
  }
}

export interface Watcher {
  events(batch: CloudEvent[]): void;
  /** Live or not; if not, it is tried again. */
  live(is: boolean): void;
  /** Events between what was seen and now are not kept: the list begins anew. */
  gap(): void;
  /** Where to go on from. */
  resume(): { revision: number; log: string };
}

/** Until `signal`. */
export function watchEvents(wanted: Wanted, watcher: Watcher, signal: AbortSignal): void {
  if (signal.aborted) return;
  const { revision, log } = watcher.resume();
  const query = asked(wanted);
  query.set("after", String(revision));
  if (log) query.set("log", log);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/v1/events/stream?${query}`, [
    "omnitide.v1",
    `proof.${proof()}`,
  ]);
  const end = () => socket.close();
  signal.addEventListener("abort", end);
  socket.onopen = () => watcher.live(true);
  socket.onmessage = (event) => watcher.events(JSON.parse(String(event.data)) as CloudEvent[]);
  socket.onclose = (event) => {
    signal.removeEventListener("abort", end);
    if (signal.aborted) return;
    watcher.live(false);
    if (event.code === 4410 || event.code === 4409) watcher.gap();
    else setTimeout(() => watchEvents(wanted, watcher, signal), AGAIN_MS);
  };
}
