import { describe, expect, it } from "vitest";
import type { CloudEvent } from "../../api/types";
import repeats from "../../words/repeats.json";
import {
  APART_MS,
  folded,
  isOpen,
  type Line,
  restOf,
  rowsOf,
  shortened,
  steady,
  tellLine,
  toggled,
  wholeHref,
} from "./fold";

let made = 0;
const event = (subject: string, kind: string, atS: number, data: object = {}) => {
  made += 1;
  const [what, name, slot, generation] = /^(\w+)\/(?:.*\/)?(.+?)(?:-(\d+)\.(\d+))?$/.exec(subject)?.slice(1) ?? [];
  const ids = what === "instance" ? { instance: `of-${name}.${slot}.${generation}` } : { [what ?? ""]: `of-${name}` };
  const time = new Date(1_800_000_000_000 + atS * 1000).toISOString();
  return {
    id: `log/${made}.0`,
    revision: made,
    type: `omnitide.${kind}.v1`,
    subject,
    time,
    data: { ...ids, ...data },
  } as unknown as CloudEvent;
};
/** So often, a time each 20 s, from `fromS` on: oldest first. */
const loop = (name: string, times: number, fromS = 0, code = () => 1) =>
  Array.from({ length: times }, (_, at) => [
    event(`instance/default/${name}`, "instance.exited", fromS + 20 * at, {
      exit: { code: code() },
      node_name: "alpha",
    }),
    event(`instance/default/${name}`, "instance.running", fromS + 20 * at + 5, { node_name: "alpha" }),
  ]).flat();
const told = (events: readonly CloudEvent[]) =>
  folded([...events].reverse()).map((line) => {
    const { subject, text, times } = tellLine(line);
    return [subject, text, times].filter(Boolean).join(" | ");
  });

describe("what happens again and again", () => {
  it("is a line for each of its kinds, with how often in how long, at its newest", () => {
    expect(told(loop("web-1.1", 37))).toEqual([
      "instance web-1.1 | running | 37 times in 12 min",
      "instance web-1.1 | exited: exit code 1; starts again | 37 times in 12 min",
    ]);
  });

  it("is one line though each attempt has a number, a process and ports of its own", () => {
    const starts = [1, 2, 3, 4].flatMap((attempt) => [
      event("instance/default/web-1.1", "instance.starting", 20 * attempt, { attempt }),
      event("instance/default/web-1.1", "instance.running", 20 * attempt + 1, { attempt, handle: `pid ${attempt}` }),
    ]);
    expect(told(starts)).toEqual([
      "instance web-1.1 | running (attempt 4)  pid 4 | 4 times in 1 min",
      "instance web-1.1 | starting, attempt 4 | 4 times in 1 min",
    ]);
  });

  it("says of several instances only what is so of all of them", () => {
    const starts = [1, 2, 3].map((slot) =>
      event(`instance/default/web-${slot}.1`, "instance.running", slot, { attempt: 1, handle: `pid ${slot}` }),
    );
    expect(told(starts)).toEqual(["instances of web | running | 3 of them in 2 s"]);
  });

  it("does not hide what happened between, of whomever", () => {
    const between = [
      event("agent/default/api", "agent.created", 100, { replicas: 1 }),
      event("node/beta", "node.joined", 101),
    ];
    const all = [...loop("web-1.1", 5), ...between, ...loop("web-1.1", 5, 110)];
    expect(told(all)).toEqual([
      "instance web-1.1 | running | 10 times in 3 min 10 s",
      "instance web-1.1 | exited: exit code 1; starts again | 10 times in 3 min 10 s",
      "node beta | joined the fabric",
      "agent api | created, 1 replica",
    ]);
  });

  it("is divided by what somebody did to its agent", () => {
    const all = [
      ...loop("web-1.1", 4),
      event("agent/default/web", "agent.updated", 100, { version: 2 }),
      ...loop("web-1.2", 3, 110),
    ];
    expect(told(all)).toEqual([
      "instance web-1.2 | running | 3 times in 40 s",
      "instance web-1.2 | exited: exit code 1; starts again | 3 times in 40 s",
      "agent web | updated to version 2",
      "instance web-1.1 | running | 4 times in 1 min",
      "instance web-1.1 | exited: exit code 1; starts again | 4 times in 1 min",
    ]);
    const lines = folded([...all].reverse());
    expect(new Set(lines.map((line) => line.key)).size).toBe(lines.length);
  });

  it("is of two agents that crash by turns a line for each", () => {
    const turns = [...loop("web-1.1", 4), ...loop("api-1.1", 4, 2)].sort((a, b) => (a.time < b.time ? -1 : 1));
    expect(told(turns)).toEqual([
      "instance api-1.1 | running | 4 times in 1 min",
      "instance web-1.1 | running | 4 times in 1 min",
      "instance api-1.1 | exited: exit code 1; starts again | 4 times in 1 min",
      "instance web-1.1 | exited: exit code 1; starts again | 4 times in 1 min",
    ]);
  });

  it("says of several replicas whose they are, and of what they said the last", () => {
    const failed = (slot: number, atS: number, message: string) =>
      event(`instance/default/shop-front-${slot}.1`, "instance.exited", atS, { exit: { reason: "pull", message } });
    const all = [failed(1, 0, "no answer"), failed(2, 1, "no answer"), failed(1, 20, "no answer in 3 s")];
    expect(told([...all, failed(2, 21, "no such image")])).toEqual([
      "instances of shop-front | exited, the last time: no such image; starts again | 4 times in 21 s",
    ]);
    const placed = [1, 2, 3].map((slot) =>
      event(`instance/shop/web-${slot}.1`, "instance.placed", 0, { node_name: `n${slot}` }),
    );
    expect(told(placed)).toEqual(["instances of shop/web | placed | 3 of them"]);
    expect(tellLine(folded(placed)[0] as never).node).toBe("");
  });

  it("hides no other cause: out of memory once among exits is a line of its own", () => {
    const exit = (at: number) => (at === 4 ? { signal: 9, out_of_memory: true } : { code: 1 });
    const all = Array.from({ length: 9 }, (_, at) =>
      event("instance/default/web-1.1", "instance.exited", 20 * at, { exit: exit(at) }),
    );
    expect(told(all)).toEqual([
      "instance web-1.1 | exited: exit code 1; starts again | 8 times in 2 min 40 s",
      "instance web-1.1 | exited: signal 9 (SIGKILL), out of memory; starts again",
    ]);
    const reasons = ["no answer", "pull", "no answer", "pull", "no answer"];
    const other = reasons.map((reason, at) =>
      event("instance/default/web-1.1", "instance.ended", at, { status: "failed", exit: { reason } }),
    );
    expect(told(other)[0]).toBe("instance web-1.1 | failed: no answer | 3 times in 4 s");
    const stopped = ["restart", "drain", "restart", "drain", "restart"].map((reason, at) =>
      event("instance/default/web-1.1", "instance.stop-requested", at, { reason }),
    );
    expect(told(stopped)[0]).toBe("instance web-1.1 | being stopped: restart | 3 times in 4 s");
  });

  it.each(repeats)("is as many lines as it has causes, as in `top`: $apart", ({ kind, one, other, alike }) => {
    const subject = kind.startsWith("node.") ? "node/alpha" : "instance/default/web-1.1";
    const turns = [one, other, one, other, one, other].map((data, at) =>
      event(subject, kind, at, { node_name: "alpha", ...data }),
    );
    expect(folded(turns.reverse()).map((line) => line.events.length)).toEqual(alike ? [6] : [3, 3]);
  });

  it("says the newest of the numbers that count repeats", () => {
    const ends = [2, 3, 4].map((often, at) =>
      event("instance/default/web-1.1", "instance.exited", 20 * at, {
        exit: { code: 2, reason: "exited", message: `exited with code 2; it was refused a process ${often} times` },
      }),
    );
    expect(told(ends)).toEqual([
      "instance web-1.1 | exited, the last time: exit code 2; it was refused a process 4 times; starts again | 3 times in 40 s",
    ]);
  });

  it("is apart for an agent and a job of one name, and what is done to the one does not divide the other's", () => {
    const of = (id: string, atS: number) =>
      event("instance/default/web-1.1", "instance.exited", atS, { exit: { code: 1 }, instance: `${id}.1.1` });
    const both = [of("a1", 0), of("j1", 1), of("a1", 2), of("j1", 3)];
    expect(told(both)).toHaveLength(4);
    const cancelled = event("job/default/web", "job.cancelled", 4, { job: "j1" });
    expect(told([...both, cancelled, of("a1", 5), of("j1", 6)])[1]).toBe(
      "instance web-1.1 | exited: exit code 1; starts again | 3 times in 5 s",
    );
  });

  it.each([
    ["node.unreachable", "node/alpha", 1],
    ["node.lost", "node/alpha", 3],
    ["node.cordoned", "node/alpha", 3],
    ["agent.rollout-late", "agent/default/web", 1],
    ["agent.rollout-stumbled", "agent/default/web", 1],
    ["agent.scaled", "agent/default/web", 3],
  ])("that comes by itself is folded, and what somebody did or lost is not: %s", (kind, subject, lines) => {
    expect(told([0, 20, 40].map((atS) => event(subject, kind, atS, { slot: 1 })))).toHaveLength(lines);
  });

  it("tells a rollout that halts from one that goes on", () => {
    const late = [1, 0, 1, 0, 1, 0].map((slot, at) =>
      event("agent/default/web", "agent.rollout-late", 20 * at, { slot }),
    );
    expect(told(late).map((one) => one.split(" | ").at(-1))).toEqual([
      "3 times in 1 min 20 s",
      "3 times in 1 min 20 s",
    ]);
  });

  it("is told apart from what was long before, and of two there is no need", () => {
    const all = [...loop("web-1.1", 2), ...loop("web-1.1", 2, APART_MS / 1000 + 26)];
    expect(told(all)).toHaveLength(8);
    expect(told([...loop("web-1.1", 3), ...loop("web-1.1", 3, APART_MS / 1000 + 46)])).toHaveLength(4);
  });

  it("loses nothing, and keeps its key while more of it comes", () => {
    const first = loop("web-1.1", 4);
    const more = [...first, ...loop("web-1.1", 2, 80)];
    const lines = (events: readonly CloudEvent[]) => folded([...events].reverse());
    expect(lines(more).map((line) => line.key)).toEqual(lines(first).map((line) => line.key));
    const ids = lines(more).flatMap((line) => line.events.map((one) => one.id));
    expect(ids.sort()).toEqual(more.map((one) => one.id).sort());
  });
});

describe("the rows of a list of events", () => {
  it("have what is folded below its line, where somebody asks for it", () => {
    const lines = folded([...loop("web-1.1", 3)].reverse());
    const first = lines[0] as Line;
    expect(rowsOf(lines, new Set())).toHaveLength(2);
    const opened = toggled(new Set(), first);
    expect(rowsOf(lines, toggled(opened, first))).toHaveLength(2);
    const rows = rowsOf(lines, opened);
    expect(rows.map((row) => row.within)).toEqual([false, true, true, true, false]);
    expect(rows.slice(1, 4).map((row) => row.line.event)).toEqual(first?.events);
  });

  it("stay open as they were opened, whatever comes after them or is found before them", () => {
    const exits = (times: number, fromS: number) =>
      loop("web-1.1", times, fromS).filter((one) => one.type.includes("exited"));
    const [older, first] = [exits(3, 0), exits(4, 60)];
    const lines = (events: readonly CloudEvent[]) => folded([...events].reverse());
    const opened = toggled(new Set(), lines(first)[0] as Line);

    const divided = lines([
      ...first,
      event("agent/default/web", "agent.updated", 150, { version: 2 }),
      ...exits(3, 160),
    ]);
    expect(divided.map((line) => [line.events.length, isOpen(line, opened)])).toEqual([
      [3, false],
      [1, false],
      [4, true],
    ]);
    const longer = lines([...older, ...first, ...exits(1, 140)]);
    expect(longer.map((line) => [line.events.length, isOpen(line, opened)])).toEqual([[8, true]]);
    expect(rowsOf(longer, opened)).toHaveLength(9);
    expect(toggled(opened, longer[0] as Line).size).toBe(0);
    expect(rowsOf(lines(first.slice(0, 1)), opened)).toHaveLength(1);
  });

  it("lead to all of it: of one instance to its own, of several to their agent's or job's", () => {
    const one = folded([...loop("web-1.1", 3)].reverse())[0] as Line;
    expect(wholeHref(one, () => true)).toBe("/events?each=1&subject=instance%2Fdefault%2Fweb-1.1");
    const placed = [1, 2, 3].map((slot) =>
      event(`instance/shop/web-${slot}.1`, "instance.placed", 0, { instance: `w1.${slot}.1` }),
    );
    const several = folded(placed)[0] as Line;
    expect(wholeHref(several, (id) => id === "w1")).toBe("/events?each=1&subject=agent%2Fshop%2Fweb");
    expect(wholeHref(several, () => false)).toBe("/events?each=1&subject=job%2Fshop%2Fweb");
    expect(restOf(several, () => true)).toEqual({ href: "/events?subject=agent%2Fshop%2Fweb", name: "shop/web" });
    expect(restOf(one, () => false)).toEqual({ href: "/events?subject=job%2Fdefault%2Fweb", name: "web" });
  });

  it("are the objects that they were, as long as nothing came to them", () => {
    const before = folded([...loop("web-1.1", 3)].reverse());
    const same = folded(
      before
        .flatMap((line) => line.events)
        .map((one) => ({ ...one }))
        .sort((a, b) => b.revision - a.revision),
    );
    expect(steady(same, before).every((line, at) => line === before[at])).toBe(true);
  });

  it("are new objects where another event came, though they are as many and as old", () => {
    const [first, second, third, fourth] = loop("web-1.1", 4).filter((one) => one.type.includes("exited"));
    const before = folded([third, second, first] as CloudEvent[]);
    const [now] = steady(folded([fourth, second, first] as CloudEvent[]), before);
    expect(now?.key).toBe(before[0]?.key);
    expect(now?.event).toBe(fourth);
  });
});

describe("a short list", () => {
  const rollout = (fromS: number) =>
    ["created", "placed", "starting", "running", "health-changed", "stop-requested", "ended"].flatMap((kind, at) =>
      [1, 2, 3].map((slot) =>
        event(`instance/default/web-${slot}.2`, `instance.${kind}`, fromS + at, {
          status: "stopped",
          health: "healthy",
        }),
      ),
    );
  const short = (events: readonly CloudEvent[]) =>
    shortened(folded([...events].reverse())).map((line) => {
      const { kind, subject } = tellLine(line);
      return [kind, subject, line.rest && `and ${line.rest} more`].filter(Boolean).join(" | ");
    });
  const newest = [
    "instance.ended | instances of web",
    "instance.stop-requested | instances of web",
    "instance.health-changed | instances of web | and 4 more",
  ];

  it("has of one agent's instances three lines between two things that somebody did to it", () => {
    const other = event("node/beta", "node.joined", 2);
    const updated = (atS: number) => event("agent/default/web", "agent.updated", atS, { version: 2 });
    const all = [updated(0), ...rollout(1), updated(20), ...rollout(21), other];
    expect(short(all)).toEqual([
      "node.joined | node beta",
      ...newest,
      "agent.updated | agent web",
      ...newest,
      "agent.updated | agent web",
    ]);
  });

  it("leaves out nothing bad, and nothing of another agent", () => {
    const killed = event("instance/default/web-1.1", "instance.exited", 0, {
      exit: { signal: 9, out_of_memory: true },
    });
    const api = event("instance/default/api-1.1", "instance.running", 1);
    expect(short([killed, api, ...rollout(2)])).toEqual([
      ...newest,
      "instance.running | instance api-1.1",
      "instance.exited | instance web-1.1",
    ]);
  });

  it("is drawn anew where more was left out of it", () => {
    const before = shortened(folded(rollout(0).reverse()));
    const now = before.map((line) => ({ ...line, rest: line.rest && line.rest + 1 }));
    expect(steady(now, before).map((line) => line.rest)).toEqual([undefined, undefined, 5]);
  });
});
