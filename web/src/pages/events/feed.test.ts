import { describe, expect, it } from "vitest";
import type { CloudEvent } from "../../api/types";
import { arrived, before, EMPTY, MOST_EVENTS, oldestRevision, released, since } from "./feed";

const event = (revision: number, index = 0, type = "omnitide.agent.created.v1") =>
  ({
    id: `log/${revision}.${index}`,
    revision,
    type,
    subject: "agent/default/web",
    time: "2026-01-01T00:00:00Z",
  }) as CloudEvent;
const ids = (events: readonly CloudEvent[]) => events.map((one) => one.id);

describe("a feed of events", () => {
  it("has the newest first and each once, however often it comes", () => {
    let feed = arrived(EMPTY, [event(1), event(2, 0), event(2, 1)], false);
    feed = arrived(feed, [event(2, 1), event(10)], false);
    expect(ids(feed.events)).toEqual(["log/10.0", "log/2.1", "log/2.0", "log/1.0"]);
    expect(feed).toMatchObject({ revision: 10, log: "log" });
  });

  it("takes a bookmark for how far it is, and shows none", () => {
    const feed = arrived(EMPTY, [{ ...event(77), id: "log/77", type: "omnitide.stream.bookmark.v1" }], false);
    expect(feed.events).toEqual([]);
    expect(feed.revision).toBe(77);
  });

  it("holds back what comes while someone reads, and loses nothing", () => {
    let feed = arrived(EMPTY, [event(1)], false);
    feed = arrived(arrived(feed, [event(2)], true), [event(3)], true);
    expect(ids(feed.events)).toEqual(["log/1.0"]);
    expect(feed.held).toHaveLength(2);
    expect(ids(released(feed).events)).toEqual(["log/3.0", "log/2.0", "log/1.0"]);
    expect(released(feed).held).toEqual([]);
  });

  it("takes what was before, and keeps no more than it may", () => {
    let feed = arrived(EMPTY, [event(9)], false);
    feed = before(feed, [event(7), event(8)], false);
    expect(oldestRevision(feed)).toBe(7);
    feed = arrived(
      feed,
      Array.from({ length: MOST_EVENTS + 10 }, (_, index) => event(100 + index)),
      false,
    );
    expect(feed.events).toHaveLength(MOST_EVENTS);
    expect(feed.events[0]?.revision).toBe(100 + MOST_EVENTS + 9);
  });

  it("counts what came since, however much has fallen out at the other end", () => {
    const shown = [event(4), event(3), event(2)];
    expect(ids(since([event(6), event(5, 1), event(5), event(4)], shown))).toEqual(["log/6.0", "log/5.1", "log/5.0"]);
    expect(since(shown, shown)).toEqual([]);
  });
});
