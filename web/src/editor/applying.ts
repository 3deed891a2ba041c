/** Doing a plan: one agent after the other, each only if it still is as it was planned. */
import { Refused } from "../api/client";
import { type Plan, put } from "./plan";

export type Done =
  | { kind: "waiting" }
  | { kind: "asked"; change: string; version: number; id: string }
  | { kind: "same"; id: string }
  | { kind: "refused"; message: string; hint: string; conflict: boolean }
  /** One before it was refused. */
  | { kind: "left" };

export interface Step {
  namespace: string;
  name: string;
  done: Done;
}

/** Ends at the first that is refused: what comes after it is left, and said to be. */
export async function applyPlan(plan: Plan, tell: (steps: readonly Step[]) => void): Promise<boolean> {
  const steps: Step[] = plan.agents.map(({ namespace, name }) => ({ namespace, name, done: { kind: "waiting" } }));
  const set = (index: number, done: Done) => {
    const step = steps[index];
    if (step) steps[index] = { ...step, done };
    tell([...steps]);
  };
  tell([...steps]);
  for (const [index, agent] of plan.agents.entries()) {
    if (agent.changed.change === "unchanged") {
      set(index, { kind: "same", id: agent.changed.agent?.id ?? "" });
      continue;
    }
    try {
      const made = await put(agent, agent.seen, false);
      set(index, { kind: "asked", change: made.change, version: made.agent?.version ?? 0, id: made.agent?.id ?? "" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const conflict = error.code === "precondition-failed";
      const message = conflict ? "it was changed by somebody else since it was planned" : error.message;
      set(index, {
        kind: "refused",
        message,
        hint: conflict ? "nothing of it was changed: plan again" : error.hint,
        conflict,
      });
      steps.forEach((step, later) => {
        if (later > index && step.done.kind === "waiting") set(later, { kind: "left" });
      });
      return false;
    }
  }
  return true;
}
