import { describe, expect, it } from "vitest";
import type { Instance, Node } from "../../api/types";
import { dateTime } from "../../words/format";
import { deployedHere, endOf, lastDeath, whoDied } from "./happened";
import { drainOf, driverSaid, instancesSaid, nodeWhy, placementSaid } from "./nodeWhy";

const GIB = 1024 ** 3;
const node = (more: Partial<Node> = {}): Node =>
  ({
    status: "live",
    scheduling: "open",
    drivers: [],
    cpu_milli: 4000,
    reserved_cpu_milli: 1500,
    memory_bytes: 8 * GIB,
    reserved_memory_bytes: 7.5 * GIB,
    ...more,
  }) as Node;
const unwell = { name: "docker", healthy: false, absent: false, detail: "no socket" } as Node["drivers"][number];
const one = (more: Partial<Instance>): Instance => ({ status: "running", health: "healthy", ...more }) as Instance;

describe("why a node is as it is", () => {
  it("is said of one that is well, with its room and what it runs", () => {
    expect(nodeWhy(node(), [one({}), one({ health: "unhealthy" }), one({ status: "failed" })], 0)).toEqual([
      "It is live: its proxy answers.",
      "Instances may be placed there.",
      "It has room for 2.5 cores and 512 MiB more: its memory is nearly all set aside.",
      "2 instances run there; besides 1 unhealthy, 1 failed.",
    ]);
  });

  it("names a driver that is unwell, and promises no room where nothing is placed", () => {
    const said = nodeWhy(
      node({
        status: "unreachable",
        scheduling: "cordoned",
        drivers: [unwell],
      }),
      [],
      0,
    ).join(" ");
    expect(said).toContain("It is not heard from.");
    expect(said).toContain("cordoned");
    expect(said).not.toMatch(/room|driver/);
    const stalled = nodeWhy(node({ status: "stalled", drivers: [unwell] }), [], 0).join(" ");
    expect(stalled).toContain("Its driver docker is unwell: no socket.");
  });

  it("says of what is gone how its drivers were then, of which none is unwell now", () => {
    const at = Date.parse("2026-11-26T10:21:03Z");
    const then = { tone: "off", text: "27.1", more: "" };
    const off = { ...unwell, version: "27.1", detail: "this node is being shut down", silent_since_ms: at };
    const stopped = { drivers: [off], departing: "off", back_within_ms: 0, stopped_ms: at };
    for (const gone of [stopped, { drivers: [off], status: "lost", since_ms: at } as Partial<Node>]) {
      expect(driverSaid(node(gone), off, at + 14_000)).toEqual(then);
      expect(nodeWhy(node(gone), [], at).join(" ")).not.toContain("driver");
    }
    expect(driverSaid(node(), off, at + 14_000)).toEqual({
      tone: "bad",
      text: "unwell",
      more: "this node is being shut down, silent for 14 s",
    });
    expect(driverSaid(node(), { ...off, healthy: true, detail: "", silent_since_ms: 0 }, at).tone).toBe("good");
    expect(driverSaid(node(), { ...off, absent: true }, at).text).toBe("not there");
  });

  it("says of one that has left that it has, and how its name is freed", () => {
    const at = Date.parse("2026-11-26T10:21:03Z");
    const left = node({ status: "lost", departing: "left the fabric", back_within_ms: 0, since_ms: at, name: "alpha" });
    const said = nodeWhy({ ...left, unknown_since_ms: at }, [], at).join(" ");
    expect(said).toContain(`It left at ${dateTime(at)}: what it ran was ended. To remove it: omnitide nodes rm alpha.`);
    expect(said).not.toMatch(/heard|stopped|goodbye/);
  });

  it("says that nothing is placed on what is gone, and counts what is lost apart", () => {
    const at = Date.parse("2026-11-26T10:21:03Z");
    expect(placementSaid(node())).toBe("open");
    expect(placementSaid(node({ stopped_ms: at }))).toBe("none: stopped");
    expect(placementSaid(node({ status: "unreachable", scheduling: "cordoned" }))).toBe("none: unreachable, cordoned");
    const all = [one({ status: "lost" }), one({ status: "unknown" }), one({ status: "succeeded" })];
    expect(instancesSaid(all)).toEqual({ there: 1, more: "and 1 lost" });
    expect(instancesSaid([one({})])).toEqual({ there: 1, more: "" });
    const said = nodeWhy(node({ status: "lost", since_ms: at }), all, at).join(" ");
    expect(said).toContain("0 instances are known to run there; besides 1 unknown, 1 lost.");
  });

  it("says since when it is being drained, where that is known", () => {
    const at = Date.parse("2026-11-26T10:21:03Z");
    const said = nodeWhy(node({ scheduling: "draining", draining_since_ms: at }), [], at + 60_000);
    expect(said).toContainEqual(
      expect.stringMatching(/^It is being drained since 2026-.*: nothing new is placed there/),
    );
    expect(nodeWhy(node({ scheduling: "draining" }), [], at).join(" ")).toContain("It is being drained: nothing new");
  });

  it("does not say that what stays moves, where its drain cannot end", () => {
    const of = (subject: string, text: string) => ({ subject, text, since_ms: 0, hint: "omnitide nodes uncordon vm" });
    const stays = of("node vm", "is being drained, and db-1.1 stays, which fits nowhere else: needs 4 cpu");
    const draining = node({ name: "vm", scheduling: "draining" });
    const concern = drainOf(draining, [of("node other", stays.text), of("node vm", "is silent"), stays]);
    expect(concern).toBe(stays);
    const said = nodeWhy(draining, [one({})], 0, concern).join(" ");
    expect(said).toContain(
      "It is being drained: nothing new is placed there, and db-1.1 stays, which fits nowhere else: needs 4 cpu. " +
        "To go on: omnitide nodes uncordon vm.",
    );
    expect(said).not.toContain("moves");
    // It was let go on in the meantime.
    expect(nodeWhy(node({ name: "vm" }), [], 0, concern).join(" ")).not.toContain("stays");
  });

  it("says of one that its operator stopped when, and nothing of a lost connection or a return", () => {
    const at = Date.parse("2026-11-26T10:21:03Z");
    const left = { departing: "the node proxy was stopped", back_within_ms: 30_000, stopped_ms: at };
    const said = (more: Partial<Node>) => nodeWhy(node({ ...left, ...more }), [], at + 60_000).join(" ");
    const first = `Its operator stopped it at ${dateTime(at)}: it is back when it is started again.`;
    expect(said({})).toBe(
      `${first} What it ran may go on there; it is shown as it was then. 0 instances are known to run there.`,
    );
    const unreachable = said({ status: "unreachable", unknown_since_ms: at + 30_000 });
    expect(unreachable).toContain("is unknown until it is back or counts as lost.");
    expect(unreachable).not.toMatch(/heard|goodbye|back within/);
    expect(said({ status: "lost" })).toContain("What it ran is replaced elsewhere");
    expect(said({ status: "lost", back_within_ms: 0 })).toContain("What it ran was ended with it.");
  });
});

describe("what has happened there", () => {
  const exit = (ended_ms: number, reason: string) => ({ ended_ms, reason }) as NonNullable<Instance["exit"]>;
  it("is the last death that nobody asked for", () => {
    const found = lastDeath([
      one({ id: "a", exit: exit(5, "exited") }),
      one({ id: "b", previous_exit: exit(7, "exited") }),
      one({ id: "c", exit: exit(9, "stopped") }),
      one({ id: "e", previous_exit: exit(10, "killed") }),
      one({ id: "d", status: "succeeded", exit: exit(11, "exited") }),
    ]);
    expect(found?.instance.id).toBe("b");
  });

  it("is of the generation that died, not of the one that came after it", () => {
    const died = one({ id: "7", name: "web-1.7", status: "failed", exit: exit(7, "exited") });
    const lives = one({ id: "8", name: "web-1.8", previous_exit: exit(7, "exited") });
    for (const both of [
      [died, lives],
      [lives, died],
    ]) {
      const found = lastDeath(both);
      expect(found && [found.instance.id, whoDied(found)]).toEqual(["7", "web-1.7"]);
    }
    const alone = lastDeath([lives]);
    expect(alone && whoDied(alone)).toBe("The generation before web-1.8");
  });

  it("is an end, and no death, of what came to its end as it should", () => {
    const ended = { ...exit(5, "exited"), attempt: 1, code: 0 };
    expect(endOf(one({ status: "succeeded", exit: ended }))).toEqual({
      title: "Last end",
      of: "Attempt 1",
      exit: ended,
    });
    const before = endOf(one({ previous_exit: { ...ended, code: 9 } }));
    expect([before?.title, before?.of]).toEqual(["Last death", "Attempt 1 of the generation before"]);
    expect(endOf(one({ exit: exit(5, "stopped") }))).toBeUndefined();
    expect(endOf(one({ previous_exit: exit(5, "killed") }))).toBeUndefined();
  });

  it("is the first instance of each version, once", () => {
    const instance = (workload: string, version: number, created_ms: number) =>
      one({ kind: "agent", namespace: "default", workload, version, created_ms });
    expect(deployedHere([instance("web", 2, 30), instance("web", 2, 10), instance("db", 1, 20)])).toEqual([
      { atMs: 10, text: "web v2 starts", kind: "start" },
      { atMs: 20, text: "db v1 starts", kind: "start" },
    ]);
  });

  it("is not before there was that version, where a rollback has kept the instance", () => {
    const kept = { ...one({ kind: "agent", workload: "web", version: 3, created_ms: 10 }), kept_ms: 50 };
    const anew = one({ kind: "agent", workload: "web", version: 3, created_ms: 60 });
    expect(deployedHere([anew, kept]).map((mark) => mark.atMs)).toEqual([50]);
  });
});
