import { describe, expect, it } from "vitest";
import type { ForeseenReplica, Outlook } from "../api/types";
import { wantedChanges } from "./foresee";
import { interrupted, lostByDraining, ranges, rows, sentences } from "./outlook";
import { actionById } from "./registry";
import type { Target } from "./target";

const replica = (slot: number, more: Partial<ForeseenReplica>): ForeseenReplica => ({
  agent: "web",
  namespace: "default",
  slot,
  fate: "moves",
  before: "alpha",
  after: "beta",
  why: "",
  ...more,
});
const outlook = (more: Partial<Outlook>): Outlook => ({
  replicas: [],
  counts: {},
  kept: 0,
  held: 0,
  tasks: 0,
  lost: 0,
  finished: true,
  unseen: 0,
  revision: 1,
  ...more,
});

describe("an outlook", () => {
  it("says how many come to what, those that are worse off first", () => {
    const found = sentences(outlook({ counts: { moves: 2, waits: 1 }, held: 1, tasks: 2 }));
    expect(found.map((one) => one.text)).toEqual([
      "1 replica would fit nowhere and wait",
      "2 replicas would move",
      "1 replica would stay at the version before",
      "2 tasks of jobs run to their end there",
    ]);
  });

  it("tells what could go and may not apart from what fits nowhere else", () => {
    const why = "until web-1 is available: it is not ready; 1 of 4 replicas may be away at once";
    const held = outlook({
      counts: { stays: 1, blocked: 3 },
      replicas: [replica(4, { fate: "stays", after: "alpha" }), replica(2, { fate: "blocked", after: "alpha", why })],
    });
    expect(sentences(held).map((one) => one.text)).toEqual([
      "1 replica would fit on no other node and stay",
      "3 replicas would stay: the update lets no more be away at once",
    ]);
    expect(rows(held).map((one) => [one.way, one.why])).toEqual([
      ["stays on alpha", ""],
      ["stays on alpha", why],
    ]);
    expect(lostByDraining(held)).toEqual([]);
  });

  it("says how many a rollback keeps, and why what was to take the place of one stops", () => {
    const why = "the one that it was to replace goes on";
    const back = outlook({
      counts: { stops: 1 },
      kept: 3,
      replicas: [replica(1, { fate: "stops", after: "", why })],
    });
    expect(sentences(back).map((one) => one.text)).toEqual([
      "1 replica would stop",
      "3 replicas would be kept as they are",
    ]);
    expect(sentences(outlook({ kept: 1 })).map((one) => one.text)).toEqual(["1 replica would be kept as it is"]);
    expect(rows(back).map((one) => [one.name, one.way, one.why])).toEqual([["web 1", "alpha → stopped", why]]);
  });

  it("does not say of what it was not looked ahead to that it would stay", () => {
    expect(sentences(outlook({ counts: { renews: 3 }, held: 335, finished: false })).map((one) => one.text)).toEqual([
      "3 replicas would be made anew, on the same node",
      "335 more replicas were not looked ahead to",
    ]);
    expect(sentences(outlook({ held: 1, finished: false })).at(-1)?.text).toBe(
      "1 more replica was not looked ahead to",
    );
  });

  it("says of what is made anew elsewhere no word of moving", () => {
    const anew = outlook({ counts: { moves: 759 }, replicas: [replica(1, {})] });
    expect(sentences(anew, true).map((one) => one.text)).toEqual(["759 replicas would be made anew, on another node"]);
    expect(rows(anew, true).map((one) => one.way)).toEqual(["alpha → anew on beta"]);
  });

  it("puts replicas together that go the same way", () => {
    const found = rows(
      outlook({
        replicas: [
          replica(4, { fate: "waits", before: "", after: "", why: "no cpu" }),
          replica(1, {}),
          replica(2, {}),
          replica(5, { after: "gamma", namespace: "team" }),
        ],
      }),
    );
    expect(found.map((one) => [one.name, one.way, one.why])).toEqual([
      ["web 4", "waits", "no cpu"],
      ["web 1–2", "alpha → beta", ""],
      ["team/web 5", "alpha → gamma", ""],
    ]);
    expect(ranges([3, 1, 2, 7])).toBe("1–3, 7");
  });

  it("counts what is interrupted", () => {
    expect(interrupted(outlook({ counts: { moves: 1, renews: 2, starts: 5, waits: 9 } }))).toBe(3);
  });

  it("is asked for all that an action is to be done to, together", () => {
    const nodes = ["n1", "n2"].map((id) => ({ kind: "node", object: { id } }) as Target);
    const input = { replicas: 0, version: 0, node: "", atOnce: 0 };
    expect(wantedChanges(actionById("node.drain"), nodes, input)).toEqual([
      { verb: "node.drain", name: "n1" },
      { verb: "node.drain", name: "n2" },
    ]);
    expect(wantedChanges(actionById("node.cordon"), nodes, input)).toEqual([]);
  });

  it("of a drain loses nothing of what stays where it is", () => {
    expect(lostByDraining(outlook({ counts: { stays: 8 } }))).toEqual([]);
    expect(lostByDraining(outlook({ counts: { stays: 1, moves: 1 }, tasks: 2 }))).toEqual([
      "What 1 replica has in memory does not move with it.",
      "2 tasks of jobs run to their end there.",
    ]);
  });

  it("says of what a silent node has that it does not hear of it, and of what is lost there that it is replaced anyway", () => {
    const why = "node alpha has not been heard from: it is replaced once it counts as lost";
    const replicas = [1, 2].map((slot) => replica(slot, { fate: "unheard", after: "alpha", why }));
    const silent = outlook({ replicas, counts: { unheard: 2 }, lost: 1 });
    expect(sentences(silent)).toEqual([
      { tone: "unknown", text: "2 replicas would not hear of it and stay: nothing is heard from their node" },
      { tone: "off", text: "1 replica there is lost already: what replaces it does so anyway" },
    ]);
    expect(rows(silent)).toMatchObject([{ name: "web 1–2", way: "stays on alpha", why }]);
    expect(lostByDraining(silent)).toEqual([]);
    expect(sentences(outlook({ lost: 2 })).map((one) => one.text)).toEqual([
      "2 replicas there are lost already: what replaces them does so anyway",
    ]);
  });

  it("says what it has not looked at", () => {
    expect(sentences(outlook({ counts: { starts: 10_000 }, unseen: 90_000 })).at(-1)?.text).toBe(
      "90\u202f000 further replicas were not looked at: too many",
    );
  });
});
