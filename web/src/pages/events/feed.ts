/** Events as they come and as they were, newest first, each once; held back while someone reads. Pure. */
import type { CloudEvent } from "../../api/types";

export const MOST_EVENTS = 5_000;

export interface Feed {
  events: readonly CloudEvent[];
  held: readonly CloudEvent[];
  /** The newest revision that was seen, to go on after a break; and of which log. */
  revision: number;
  log: string;
  /** Nothing is older than the oldest one here. */
  complete: boolean;
}

export const EMPTY: Feed = { events: [], held: [], revision: 0, log: "", complete: false };

const BOOKMARK = "stream.bookmark";

function place(event: CloudEvent): [number, number] {
  const [, where = ""] = event.id.split("/");
  const [revision = "0", index = "0"] = where.split(".");
  return [Number(revision), Number(index)];
}

function newestFirst(a: CloudEvent, b: CloudEvent): number {
  const [revisionA, indexA] = place(a);
  const [revisionB, indexB] = place(b);
  return revisionB - revisionA || indexB - indexA;
}

function merged(one: readonly CloudEvent[], other: readonly CloudEvent[]): CloudEvent[] {
  const all = new Map<string, CloudEvent>();
  for (const event of [...one, ...other]) all.set(event.id, event);
  return [...all.values()].sort(newestFirst);
}

/** `pausing`: they are counted, and shown when someone wants them. */
export function arrived(feed: Feed, batch: readonly CloudEvent[], pausing: boolean): Feed {
  let { revision, log } = feed;
  const events: CloudEvent[] = [];
  for (const event of batch) {
    revision = Math.max(revision, event.revision);
    log = event.id.split("/")[0] ?? log;
    if (!event.type.includes(BOOKMARK)) events.push(event);
  }
  if (!events.length) return { ...feed, revision, log };
  if (pausing) return { ...feed, revision, log, held: merged(feed.held, events).slice(0, MOST_EVENTS) };
  const next = merged(feed.events, events);
  return {
    ...feed,
    revision,
    log,
    events: next.slice(0, MOST_EVENTS),
    complete: feed.complete && next.length <= MOST_EVENTS,
  };
}

export function released(feed: Feed): Feed {
  return arrived({ ...feed, held: [] }, feed.held, false);
}

/** What was before. With the most that are kept, the newest stay. */
export function before(feed: Feed, older: readonly CloudEvent[], complete: boolean): Feed {
  const next = merged(feed.events, older);
  return { ...feed, events: next.slice(0, MOST_EVENTS), complete: complete || next.length >= MOST_EVENTS };
}

export function oldestRevision(feed: Feed): number {
  return feed.events.at(-1)?.revision ?? feed.revision + 1;
}

/** Of the `latest` those that are not among the `shown`, which were the latest before. Both newest first. */
export function since(latest: readonly CloudEvent[], shown: readonly CloudEvent[]): CloudEvent[] {
  const known = new Set(shown.map((event) => event.id));
  return latest.filter((event) => !known.has(event.id));
}
