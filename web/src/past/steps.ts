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

/** The next revision after this one at which something happened; 0 if there is none. Throws Refused. */
export async function nextStep(revision: number, signal: AbortSignal): Promise<number> {
  let after = revision;
  let skip = 0;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const path = `/v1/events?after=${after}&skip=${skip}&limit=${PAGE}`;
    const page = await request<EventPage>("GET", path, undefined, signal);
    const found = page.items.find((event) => ofInterest(event) && event.revision > revision);
    if (found) return found.revision;
    if (!page.more) return 0;
    after = page.next_after;
    skip = page.next_skip ?? 0;
  }
  // Nothing but bookkeeping for so long: the end of it will do.
  return after;
}

/** The one before. Throws Refused. */
export async function stepBefore(revision: number, signal: AbortSignal): Promise<number> {
  const found = await olderEvents(EVERYTHING, revision, signal);
  return found.events.filter(ofInterest).reduce((newest, event) => Math.max(newest, event.revision), 0);
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
