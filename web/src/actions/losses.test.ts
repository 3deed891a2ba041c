import { describe, expect, it } from "vitest";
import type { Agent, Instance } from "../api/types";
import type { Input } from "./action";
import { lostBy } from "./losses";
import { ACTIONS, actionById } from "./registry";
import type { Target } from "./target";

const INPUT: Input = { replicas: 1, version: 0, node: "", atOnce: 0 };
const agents = (count: number): Target[] =>
  Array.from({ length: count }, (_, at) => ({
    kind: "agent",
    object: {
      id: `a${at}`,
      name: `web-${at}`,
      namespace: "default",
      status: "running",
      replicas: 3,
      version: 2,
    } as Agent,
  }));
const instances = (count: number, status: Instance["status"] = "running"): Instance[] =>
  Array.from(
    { length: count },
    (_, at) =>
      ({
        id: `i${at}`,
        name: `web-${at}.1`,
        namespace: "default",
        kind: "agent",
        status,
        node: "alpha",
        node_id: `a${at % 20}`,
        workload_id: `a${at % 20}`,
      }) as Instance,
  );
const around = (of: Instance[]) => () => ({ instances: of.values(), nodes: [].values() });

describe("what is lost", () => {
  it("is told of each by its name where they are few", () => {
    expect(lostBy(actionById("agent.restart"), agents(2), INPUT, around(instances(4)))).toEqual({
      told: ["web-0: What 1 instance has in memory is gone.", "web-1: What 1 instance has in memory is gone."],
      each: [],
    });
    expect(lostBy(actionById("agent.restart"), agents(1), INPUT, around(instances(1))).told).toEqual([
      "What 1 instance has in memory is gone.",
    ]);
  });

  it("is summed up beyond six, with each behind it", () => {
    const found = lostBy(actionById("agent.restart"), agents(20), INPUT, around(instances(1_180)));
    expect(found.told).toEqual(["What 1\u202f180 instances of 20 agents have in memory is gone."]);
    expect(found.each).toHaveLength(20);
    expect(found.each[0]).toBe("web-0: What 59 instances have in memory is gone.");
    expect(lostBy(actionById("agent.restart"), agents(6), INPUT, around(instances(20))).each).toEqual([]);
  });

  it("is summed up for every action that many can come to", () => {
    const told = (id: string, of: Target[]) => lostBy(actionById(id), of, INPUT, around(instances(20))).told;
    expect(told("agent.scale", agents(20))).toEqual(["What 40 replicas of 20 agents have in memory is gone."]);
    expect(told("agent.stop", agents(20))).toEqual([
      "Nothing serves what they serve, and what 20 instances of 20 agents have in memory is gone.",
    ]);
    expect(told("agent.remove", agents(20))).toEqual([
      "20 instances of 20 agents with what they have in memory and their output.",
      "Their 40 versions: there is no way back to them.",
    ]);
    const those = instances(20).map((object): Target => ({ kind: "instance", object }));
    expect(told("instance.restart", those)).toEqual(["What 20 instances have in memory is gone."]);
    expect(told("instance.migrate", those)).toEqual(["What 20 instances have in memory does not move with them."]);
    const nodes = agents(20).map(({ object }) => ({ kind: "node", object }) as unknown as Target);
    expect(told("node.drain", nodes)).toEqual([
      "What 20 instances of 20 nodes have in memory does not move with them.",
    ]);
    const made = { agent: agents(7), instance: those, node: nodes };
    for (const action of ACTIONS.filter((one) => one.many)) {
      const found = lostBy(action, made[action.kind], INPUT, around(instances(20)));
      expect(found.told.length > 0, action.id).toBe(found.each.length > 0);
    }
  });

  it("is nothing of what does not run", () => {
    expect(lostBy(actionById("agent.restart"), agents(20), INPUT, around(instances(20, "stopped")))).toEqual({
      told: [],
      each: [],
    });
  });
});
