import { describe, expect, it } from "vitest";
import type { Agent, AgentExplanation, Instance } from "../api/types";
import type { Step } from "./applying";
import { failingOf, shownOf, troubleOf, verdictOf } from "./reached";

const step: Step = {
  namespace: "default",
  name: "shop",
  done: { kind: "asked", change: "updated", version: 2, id: "a" },
};
const agent = (more: Partial<Agent> = {}): Agent =>
  ({
    id: "a",
    version: 2,
    replicas: 11,
    running: 8,
    status: "failing",
    counts: {},
    rollout: { version: 2, asked: 3, replicas: 11, halted: "", paused: false },
    ...more,
  }) as Agent;
const instance = (more: Partial<Instance> = {}): Instance =>
  ({ id: "i", workload_id: "a", kind: "agent", version: 2, failing: true, status: "starting", ...more }) as Instance;

describe("how far what was applied has come", () => {
  it("says that its version fails while it fails", () => {
    const shown = shownOf(step, agent(), 3);
    expect(shown).toMatchObject({ tone: "bad", over: false });
    expect(shown.text).toBe(
      "rolls out v2: begun at 3 of 11 replicas, 3 replicas of v2 fail; in any version 8 of 11 running",
    );
    expect(verdictOf([shown])).toBe("Under way, and failing");
    const alone = shownOf(step, agent({ rollout: null, replicas: 1, running: 1 }), 1);
    expect(alone).toMatchObject({ tone: "bad", over: false, text: "1 of 1 running, 1 replica of v2 fails" });
  });

  it("is under way as long as nothing of it fails, whatever failed before", () => {
    const all = [instance({ version: 1 }), instance({ workload_id: "b" }), instance({ failing: false })];
    expect(failingOf(all, agent(), 2)).toBe(0);
    expect(failingOf([...all, instance(), instance({ failing: false, status: "failed" })], agent(), 2)).toBe(2);
    const shown = shownOf(step, agent(), 0);
    expect([shown.tone, verdictOf([shown])]).toEqual(["busy", "Under way"]);
  });

  it("is not as the text says once it is given up or refused", () => {
    const halted = shownOf(step, agent({ rollout: { ...agent().rollout, halted: "shop-1.2 ends" } as never }), 3);
    expect(halted).toMatchObject({ tone: "bad", over: true });
    expect(verdictOf([halted, shownOf(step, agent(), 3)])).toBe("It is not as the text says");
  });

  it("tells first why what was applied fails, then why something waits", () => {
    const of = (...troubles: unknown[]) => ({ troubles }) as AgentExplanation;
    const waits = { instance: instance({ failing: false }), placement: { text: "no room" } };
    const old = { instance: instance({ version: 1 }), placement: null };
    const fails = { instance: instance(), placement: null };
    expect(troubleOf(of(waits, old, fails), 2)).toBe(fails);
    expect(troubleOf(of(old, waits), 2)).toBe(waits);
    expect(troubleOf(of(old), 2)).toBeUndefined();
  });
});
