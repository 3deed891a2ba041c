import { describe, expect, it } from "vitest";
import type { Agent, Instance, Node } from "../api/types";
import { agentState, hasEnded, instanceState, nodeState, notEnded } from "./states";

const node = (more: Partial<Node> = {}) =>
  ({ status: "live", scheduling: "open", departing: "", back_within_ms: 0, drivers: [], ...more }) as unknown as Node;
const instance = (more: Partial<Instance> = {}) =>
  ({
    status: "running",
    condition: "running",
    health: "unknown",
    health_message: "",
    unknown_because: "",
    failing: false,
    ends: 0,
    ...more,
  }) as unknown as Instance;
const agent = (more: Partial<Agent> = {}) => ({ status: "running", failing: 0, ...more }) as unknown as Agent;

describe("a node's state", () => {
  it("says live of none that is not all well: a tally has one colour for a word", () => {
    const driver = { name: "vm", healthy: false, absent: false };
    const states = [
      node(),
      node({ scheduling: "cordoned" }),
      node({ scheduling: "draining" }),
      node({ departing: "shutdown" }),
      node({ departing: "sleep", back_within_ms: 60_000 }),
      node({ drivers: [driver] as unknown as Node["drivers"] }),
    ].map(nodeState);
    expect(states.map((one) => [one.tone, one.text])).toEqual([
      ["good", "live"],
      ["wait", "cordoned"],
      ["wait", "draining"],
      ["wait", "leaving"],
      ["wait", "away"],
      ["wait", "unwell"],
    ]);
    expect(nodeState(node({ status: "lost", scheduling: "cordoned" }))).toEqual({
      tone: "bad",
      text: "lost",
      more: "cordoned",
    });
  });
});

describe("what ends again and again", () => {
  it("is as bad while it runs as while it waits, in the fabric's own words", () => {
    const waits = instance({ status: "starting", condition: "waiting", failing: true, ends: 5 });
    const runs = instance({ failing: true, ends: 5 });
    expect(instanceState(waits)).toEqual({ tone: "bad", text: "failing", more: "waiting, ended 5 times in a row" });
    expect(instanceState(runs)).toEqual({ tone: "bad", text: "failing", more: "running, ended 5 times in a row" });
    expect(instanceState(instance({ status: "starting", condition: "waiting" })).tone).toBe("wait");
    expect(agentState(agent({ status: "failing", failing: 2 }))).toEqual({
      tone: "bad",
      text: "failing",
      more: "2 replicas end again and again",
    });
  });

  it("is not said of an agent that only waits for a place: that has its reason, and less of an alarm", () => {
    const degraded = (counts: Partial<Agent["counts"]>) =>
      agentState(agent({ status: "degraded", replicas: 2, running: counts.running, counts } as Partial<Agent>));
    expect(degraded({ running: 1, pending: 1 })).toEqual({ tone: "wait", text: "degraded", more: "1 pending" });
    expect(degraded({ running: 0, starting: 1, pending: 1 }).tone).toBe("bad");
    expect(degraded({ running: 1, failed: 1 })).toEqual({ tone: "bad", text: "degraded", more: "1 failed" });
  });

  it("is unhealthy with what its probe says", () => {
    const ill = instance({ condition: "unhealthy", health: "unhealthy", health_message: "status 500" });
    expect(instanceState(ill)).toEqual({ tone: "bad", text: "unhealthy", more: "status 500" });
  });
});

describe("instances", () => {
  it("that have ended are not among those that there are", () => {
    const all = ["running", "pending", "unknown", "failed", "succeeded", "stopped", "lost"].map((status, index) => {
      const one = instance({ status: status as Instance["status"] });
      return [String(index), one] as const;
    });
    expect(notEnded(new Map(all))).toBe(3);
    expect(all.filter(([, one]) => hasEnded(one))).toHaveLength(4);
  });
});
