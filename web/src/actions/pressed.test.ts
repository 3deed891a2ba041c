import { describe, expect, it } from "vitest";
import type { Agent, Instance, Node } from "../api/types";
import { byKind, meantBy } from "./pressed";
import { actionById } from "./registry";
import type { Target } from "./target";

const web: Target = { kind: "agent", object: { id: "a1", name: "web", namespace: "default" } as Agent };
const one: Target = { kind: "instance", object: { id: "i1", name: "web-1.1", namespace: "default" } as Instance };
const two: Target = { kind: "instance", object: { id: "i2", name: "web-2.1", namespace: "default" } as Instance };
const alpha: Target = { kind: "node", object: { id: "n1", name: "alpha" } as Node };

function told(key: string, targets: readonly Target[]): string {
  const meant = meantBy(key, targets);
  if (!meant) return "";
  const what = meant.kind === "action" ? meant.action.id : meant.opening.title;
  return `${what} ${meant.targets.map((target) => target.object.name).join(" ")}`;
}

describe("a key", () => {
  const scale = actionById("agent.scale").key;
  const restart = actionById("agent.restart").key;
  const drain = actionById("node.drain").key;

  it("is the agent's where its instance has none like it, and the instance's where both have it", () => {
    expect(told(scale, [one, web])).toBe("agent.scale web");
    expect(actionById("instance.restart").key).toBe(restart);
    expect(told(restart, [one, web])).toBe("instance.restart web-1.1");
    expect(told(restart, [web])).toBe("agent.restart web");
  });

  it("is for all of a kind, whatever else is chosen with it", () => {
    expect(byKind([alpha, one, two, web])).toEqual([[alpha], [one, two], [web]]);
    expect(told(drain, [alpha, one, two, web])).toBe("node.drain alpha");
    expect(told(restart, [alpha, one, two, web])).toBe("instance.restart web-1.1 web-2.1");
    expect(told(scale, [alpha, one, two])).toBe("");
  });
});
