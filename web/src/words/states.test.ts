import { describe, expect, it } from "vitest";
import type { Agent, Instance, Node } from "../api/types";
import { dateTime } from "./format";
import {
  agentState,
  chosenWords,
  hasEnded,
  instanceState,
  instancesWords,
  isSilent,
  nodeSinceMs,
  nodeState,
  notEnded,
} from "./states";

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

  it("is left where it has said goodbye for good, which is no alarm", () => {
    for (const status of ["unreachable", "lost"] as const) {
      const one = node({ status, departing: "left the fabric", back_within_ms: 0 });
      expect(nodeState(one)).toEqual({ tone: "off", text: "left", more: "" });
      expect(isSilent(one)).toBe(true);
    }
  });

  it("is stopped where its operator stopped it, with since when and without a return, as long as it is not back", () => {
    const at = Date.parse("2026-11-26T10:21:03Z");
    const stopped = { departing: "the node proxy was stopped", back_within_ms: 30_000, stopped_ms: at };
    for (const status of ["live", "unreachable", "lost"] as const) {
      const one = node({ ...stopped, status });
      expect(nodeState(one)).toEqual({ tone: "off", text: "stopped", more: `by its operator at ${dateTime(at)}` });
      expect(isSilent(one)).toBe(true);
    }
    expect(nodeState(node({ ...stopped, scheduling: "draining" })).more).toMatch(/, draining$/);
    expect([node(), node({ status: "lost" }), node({ scheduling: "cordoned" })].map(isSilent)).toEqual([
      false,
      true,
      false,
    ]);
  });

  it("has one since when, that of the word that is said of it", () => {
    const all = { since_ms: 1, unknown_since_ms: 0, stalled_since_ms: 0, stopped_ms: 0 };
    expect(nodeSinceMs(node(all))).toBe(1);
    expect(nodeSinceMs(node({ ...all, status: "unreachable", unknown_since_ms: 2 }))).toBe(2);
    expect(nodeSinceMs(node({ ...all, status: "stalled", stalled_since_ms: 3 }))).toBe(3);
    for (const status of ["live", "stalled", "lost"] as const) {
      const stopped = node({ ...all, status, unknown_since_ms: 2, stalled_since_ms: 3, stopped_ms: 4 });
      expect(nodeSinceMs(stopped)).toBe(4);
    }
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
    const many = agent({ status: "failing", failing: 2, failing_at_least: true });
    expect(agentState(many).more).toBe("at least 2 replicas end again and again");
  });

  it("is not said of an agent that only waits for a place: that has its reason, and less of an alarm", () => {
    const degraded = (counts: Partial<Agent["counts"]>) =>
      agentState(agent({ status: "degraded", replicas: 2, running: counts.running, counts } as Partial<Agent>));
    expect(degraded({ running: 1, pending: 1 })).toEqual({ tone: "wait", text: "waiting", more: "1 pending" });
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
    const some = all.map(([, one]) => one);
    expect(instancesWords(some)).toBe("3 instances, and 4 that ended");
    expect(instancesWords(some.slice(0, 1))).toBe("1 instance");
    expect(instancesWords(some.slice(3, 4))).toBe("1 instance that ended");
    expect(instancesWords([])).toBe("0 instances");
    expect(chosenWords(2, some)).toBe("2 nodes, 3 instances, and 4 that ended");
    expect(chosenWords(1, [])).toBe("1 node");
  });
});

describe("a word of a state", () => {
  const colours = (states: readonly { text: string; tone: string }[]) => {
    const found = new Map<string, Set<string>>();
    for (const { text, tone } of states) found.set(text, (found.get(text) ?? new Set()).add(tone));
    return [...found].filter(([, tones]) => tones.size > 1).map(([text, tones]) => `${text}: ${[...tones]}`);
  };

  it("has one colour: a tally that says it twice would tell nothing apart", () => {
    const statuses = ["running", "progressing", "failing", "degraded", "removing", "stopped", "unknown"];
    const rollouts = [undefined, { version: 2 }, { version: 2, paused: true }, { version: 2, halted: "it crashes" }];
    const counts = [{}, { pending: 2 }, { failed: 2 }, { starting: 2 }];
    const agents = statuses.flatMap((status) =>
      rollouts.flatMap((rollout) =>
        counts.map((some) =>
          agent({ status, replicas: 2, running: 0, counts: some, rollout } as unknown as Partial<Agent>),
        ),
      ),
    );
    expect(colours(agents.map(agentState))).toEqual([]);
    const conditions = ["pending", "placed", "starting", "waiting", "running", "unhealthy", "stopping", "unknown"];
    const instances = conditions.flatMap((condition) =>
      ["", "node alpha sleeps"].flatMap((unknown_because) =>
        [false, true].map((failing) => instance({ condition, unknown_because, failing } as Partial<Instance>)),
      ),
    );
    expect(colours(instances.map(instanceState))).toEqual([]);
  });

  it("says of what is away with its node what it was then", () => {
    expect(instanceState(instance({ unknown_because: "node alpha sleeps" }))).toEqual({
      tone: "wait",
      text: "away",
      more: "was running, node alpha sleeps",
    });
    const failing = instance({ unknown_because: "node alpha sleeps", failing: true, ends: 85 });
    expect(instanceState(failing)).toEqual({ tone: "wait", text: "away", more: "was failing, node alpha sleeps" });
  });

  it("says of a halted rollout that it is", () => {
    const halted = agent({ status: "progressing", rollout: { version: 2, halted: "it crashes" } } as Partial<Agent>);
    expect(agentState(halted)).toEqual({
      tone: "bad",
      text: "halted",
      more: "progressing, rollout halted: it crashes",
    });
  });
});
