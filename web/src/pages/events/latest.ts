/** What happened last, for a page that looks again and again: only what is new since then is asked for. */
import { Refused, request } from "../../api/client";
import type { EventPage } from "../../api/types";
import { arrived, EMPTY, type Feed } from "./feed";

/** At first, of everything. */
const FIRST = 300;
/** And of what is not about instances: those may be so many that nothing else is among the newest. */
const FIRST_SELDOM = 60;
const SELDOM = ["agent", "node", "job", "namespace", "secret", "config", "token"];
const PAGE = 1_000;

/** `before`: what the last question gave, EMPTY at first. `about`: a subject, empty for all. Throws Refused. */
export async function latestEvents(before: Feed, about: string, signal: AbortSignal): Promise<Feed> {
  const ask = (query: Record<string, string>, kinds: readonly string[] = []) => {
    const asked = new URLSearchParams(query);
    if (about) asked.set("subject", about);
    for (const kind of kinds) asked.append("kinds", kind);
    return request<EventPage>("GET", `/v1/events?${asked}`, undefined, signal);
  };
  if (before.log) {
    try {
      const page = await ask({ after: String(before.revision), log: before.log, limit: String(PAGE) });
      if (!page.more) return reached(arrived(before, page.items, false), page);
    } catch (error) {
      if (!(error instanceof Refused) || !["trimmed", "unknown-revision"].includes(error.code)) throw error;
    }
    // More has happened than is worth reading, or it is another log: the newest are asked for anew.
  }
  const [all, seldom] = await Promise.all([
    ask({ last: String(FIRST) }),
    about.startsWith("instance/") ? undefined : ask({ last: String(FIRST_SELDOM) }, SELDOM),
  ]);
  // The first of the two may have been answered before the second: what came between is asked for the next time.
  return { ...arrived(arrived(EMPTY, seldom?.items ?? [], false), all.items, false), revision: all.revision };
}

function reached(feed: Feed, page: EventPage): Feed {
  return { ...feed, revision: Math.max(feed.revision, page.next_after) };
}
