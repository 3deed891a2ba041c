/** How many replicas of an agent run. Never more than are asked for as if that were so: what is too many is said apart. */
import type { Agent } from "../api/types";
import { count } from "./format";

type Counted = Pick<Agent, "running" | "replicas">;

/** Those of the replicas that are asked for. */
export function ranOf({ running, replicas }: Counted): number {
  return Math.min(running, replicas);
}

/** Those that run beside them, until they are stopped: what is new may run before what is old ends. */
export function surplusOf({ running, replicas }: Counted): number {
  return Math.max(0, running - replicas);
}

/** `400 of 400 running, 1 more until it is stopped`. */
export function runningWords(agent: Counted): string {
  const surplus = surplusOf(agent);
  const far = `${count(ranOf(agent))} of ${count(agent.replicas)} running`;
  return surplus ? `${far}, ${surplusWords(surplus)}` : far;
}

export function surplusWords(surplus: number): string {
  return `${count(surplus)} more until ${surplus === 1 ? "it is" : "they are"} stopped`;
}
