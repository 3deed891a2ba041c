/** From one event to the next, or to the one before: those that are of interest to a person. */
import { Refused, request } from "../api/client";
import type { CloudEvent, EventPage } from "../api/types";
import { olderEvents } from "../pages/events/source";
import { ofInterest } from "../words/events";

const EVERYTHING = { kind: "", namespace: "", subject: "" };
const PAGE = 200;
/** So many questions for one step. */
const TRIES = 10;

/** What happened at a revision, if it is of interest. Throws Refused. */
export async function eventsAt(revision: number, signal: AbortSignal): Promise<CloudEvent[]> {
  const page = await request<EventPage>("GET", `/v1/events?after=${revision - 1}&limit=${PAGE}`, undefined, signal);
  return page.items.filter((event) => event.revision === revision && ofInterest(event));
}

/**
 * The steps that were found, so that the next ones in their neighbourhood are asked of nobody: what has happened stays as it
 * is, and one answer has hundreds of steps.
 */
export class Trail {
  /** All steps from `#from` to `#to` are known, in order; nothing is, as long as `#to` is 0. */
  #known: number[] = [];
  #from = 1;
  #to = 0;

  constructor(
    readonly older = (revision: number, signal: AbortSignal) => olderEvents(EVERYTHING, revision, signal),
    readonly later = (after: number, skip: number, signal: AbortSignal) =>
      request<EventPage>("GET", `/v1/events?after=${after}&skip=${skip}&limit=${PAGE}`, undefined, signal),
  ) {}

  /** The step before this revision; 0 if there is none. Throws Refused. */
  async before(revision: number, signal: AbortSignal): Promise<number> {
    if (revision > this.#from && revision <= this.#to + 1) {
      const known = this.#known.findLast((step) => step < revision);
      if (known) return known;
    }
    const { events, complete } = await this.older(revision, signal);
    const oldest = events.reduce((least, event) => Math.min(least, event.revision), revision);
    this.#learn(events, complete ? 1 : oldest, revision - 1);
    return this.#known.findLast((step) => step < revision) ?? 0;
  }

  /** The next one after it; 0 if there is none. Throws Refused. */
  async after(revision: number, signal: AbortSignal): Promise<number> {
    if (revision >= this.#from - 1 && revision < this.#to) {
      const known = this.#known.find((step) => step > revision);
      if (known) return known;
    }
    let after = revision;
    let skip = 0;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const page = await this.later(after, skip, signal);
      const later = page.items.filter((event) => event.revision > revision);
      // What more there is of the last revision may come with the next page.
      const newest = (later.at(-1)?.revision ?? revision) - (page.more ? 1 : 0);
      const found = later.find(ofInterest);
      if (!tries) this.#learn(later, revision + 1, newest);
      if (found) return found.revision;
      if (!page.more) return 0;
      after = page.next_after;
      skip = page.next_skip ?? 0;
    }
    // Nothing but bookkeeping for so long: the end of it will do.
    return after;
  }

  /** `events`: all there are from one revision to another. What does not border on what was known takes its place. */
  #learn(events: readonly CloudEvent[], from: number, to: number): void {
    if (to < from) return;
    const steps = events.filter((event) => ofInterest(event) && event.revision >= from && event.revision <= to);
    const revisions = steps.map((event) => event.revision);
    const joined = this.#to && from <= this.#to + 1 && to >= this.#from - 1;
    this.#known = [...new Set(joined ? [...this.#known, ...revisions] : revisions)].sort((one, other) => one - other);
    this.#from = joined ? Math.min(this.#from, from) : from;
    this.#to = joined ? Math.max(this.#to, to) : to;
  }
}

/** The oldest revision that can be asked for; 1 if all are kept. Throws Refused. */
export async function firstKept(signal: AbortSignal): Promise<number> {
  try {
    const page = await request<EventPage>("GET", "/v1/events?after=0&limit=1", undefined, signal);
    return page.items[0]?.revision ?? 1;
  } catch (error) {
    if (!(error instanceof Refused) || !error.firstRevision) throw error;
    return error.firstRevision;
  }
}
