import { describe, expect, it } from "vitest";
import type { Agent, Instance } from "../api/types";
import { actionById, hindrance } from "./registry";
import { offered, progressOf } from "./rollout";

const status = { version: 4, verdict: "progressing", replicas: 5, updated: 0 } as const;
const ran = (version: number, condition: Instance["condition"] = "running") => ({ version, condition });

const agent = (rollout: Partial<NonNullable<Agent["rollout"]>>): Agent =>
  ({
    id: "a",
    name: "web",
    namespace: "default",
    status: "running",
    version: 4,
    replicas: 5,
    rollout: { version: 4, replicas: 5, asked: 1, paused: false, halted: "", ...rollout },
  }) as Agent;

describe("how far a rollout is", () => {
  it("is the share of replicas that are of the new version, whatever else is available", () => {
    const old = [ran(3), ran(3), ran(3), ran(3)];
    expect(progressOf({ ...status, verdict: "halted" }, [...old, ran(4, "starting")])).toEqual([
      { tone: "bad", count: 0 },
      { tone: "bad", count: 0 },
      { tone: undefined, count: 5 },
    ]);
  });

  it("tells those that are available from those that are not yet", () => {
    const now = [ran(3), ran(3), ran(3), ran(4), ran(4, "unhealthy")];
    expect(progressOf({ ...status, updated: 2 }, now)).toEqual([
      { tone: "good", count: 1 },
      { tone: "busy", count: 1 },
      { tone: undefined, count: 3 },
    ]);
    expect(progressOf({ ...status, verdict: "paused", updated: 2 }, now).map((one) => one.tone)).toEqual([
      "wait",
      "wait",
      undefined,
    ]);
  });

  it("is never more than there are replicas", () => {
    const now = Array.from({ length: 7 }, () => ran(4));
    expect(progressOf({ ...status, updated: 7 }, now).map((one) => one.count)).toEqual([5, 0, 0]);
  });
});

describe("what is offered beside a rollout", () => {
  const titles = (of: Agent) => offered(of).map((one) => [one.action.id, one.why]);

  it("is to hold it or to go back while it goes on, and to resume it while it is held", () => {
    expect(titles(agent({}))).toEqual([
      ["agent.pause", ""],
      ["agent.rollback", ""],
    ]);
    expect(titles(agent({ paused: true }))).toEqual([
      ["agent.resume", ""],
      ["agent.rollback", ""],
    ]);
  });

  it("is first of all to go back where it is halted, and pausing says why not", () => {
    const halted = agent({ halted: "web-1.2 failed" });
    expect(titles(halted)).toEqual([
      ["agent.rollback", ""],
      ["agent.pause", "its rollout is halted: nothing goes on that could be held"],
    ]);
    expect(hindrance(actionById("agent.pause"), [{ kind: "agent", object: halted }])).toContain("halted");
  });
});
