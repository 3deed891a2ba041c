import { expect, test } from "vitest";
import type { Agent, Instance, Node } from "../api/types";
import type { Input } from "./action";
import { focusOf } from "./focus";
import { ACTIONS, actionById } from "./registry";
import type { Target } from "./target";

const INPUT: Input = { replicas: 2, version: 0, node: "", atOnce: 0 };
const instance = {
  id: "i1",
  name: "web-1.1",
  kind: "agent",
  status: "running",
  node_id: "n1",
  workload_id: "a1",
} as Instance;
const TARGETS: Record<string, Target> = {
  agent: { kind: "agent", object: { id: "a1", name: "web", replicas: 1, version: 2, status: "running" } as Agent },
  instance: { kind: "instance", object: instance },
  node: { kind: "node", object: { id: "n1", name: "alpha", status: "live", scheduling: "open" } as Node },
};
const AROUND = { instances: [instance], nodes: [] };

test("each action's dialog begins where Enter at once does no harm", () => {
  const begun = (where: string) =>
    ACTIONS.filter((one) => focusOf(one, [TARGETS[one.kind] as Target], INPUT, AROUND) === where).map(({ id }) => id);
  expect(begun("field")).toEqual(["agent.scale", "agent.rollback", "instance.migrate"]);
  expect(begun("act")).toEqual(["agent.pause", "agent.resume", "agent.start", "node.cordon", "node.uncordon"]);
  const careful = ["agent.restart", "agent.stop", "agent.remove", "instance.restart", "node.drain", "node.remove"];
  expect(begun("cancel").filter((id) => careful.includes(id))).toEqual(careful);
});

test("what cannot be done to any of them begins at its one button", () => {
  expect(focusOf(actionById("agent.start"), [], INPUT, AROUND)).toBe("cancel");
});
