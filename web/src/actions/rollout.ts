/** A rollout as it is shown: how far it is, and what can be done about it. Pure. */
import type { Agent, Instance, RolloutStatus } from "../api/types";
import type { Tone } from "../words/states";
import type { Action } from "./action";
import { actionById } from "./registry";

type Far = Pick<RolloutStatus, "version" | "verdict" | "replicas" | "updated">;

/** Of a rollout that does not go on. */
const HELD: Partial<Record<RolloutStatus["verdict"], Tone>> = { halted: "bad", paused: "wait" };

/**
 * The parts of its bar: replicas that run in the new version and are available, that run in it and are not so far, and the
 * rest, which has no tone. What of an older version is available counts for nothing here.
 *
 * `instances`: of the agent.
 */
export function progressOf(
  status: Far,
  instances: Iterable<Pick<Instance, "version" | "condition">>,
): { tone: Tone | undefined; count: number }[] {
  const updated = Math.min(status.updated, status.replicas);
  let available = 0;
  for (const one of instances) if (one.version === status.version && one.condition === "running") available += 1;
  available = Math.min(available, updated);
  const held = HELD[status.verdict];
  return [
    { tone: held ?? "good", count: available },
    { tone: held ?? "busy", count: updated - available },
    { tone: undefined, count: status.replicas - updated },
  ];
}

/** What is offered beside it, the likeliest first; `why`: why that cannot be done, else empty. */
export function offered(agent: Agent): { action: Action; title: string; why: string }[] {
  const halted = !!agent.rollout?.halted && !agent.rollout.paused;
  const all = [
    ...(halted ? [] : [{ id: "agent.pause", title: "Pause" }]),
    { id: "agent.resume", title: "Resume" },
    { id: "agent.rollback", title: "Roll back" },
    ...(halted ? [{ id: "agent.pause", title: "Pause" }] : []),
  ].map(({ id, title }) => {
    const action = actionById(id);
    return { action, title, why: action.hindrance({ kind: "agent", object: agent }) };
  });
  // What is not its turn stays away; of a halted one, pausing is looked for, and says why not.
  return all.filter((one) => !one.why || (halted && one.action.id === "agent.pause"));
}
