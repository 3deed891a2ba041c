/** What a state means, for its colour and its shape: colour alone never tells. */
import type { Agent, Instance, Node } from "../api/types";
import { count, dateTime, plural, span } from "./format";

export type Tone = "good" | "busy" | "wait" | "bad" | "unknown" | "off";

const TONES: Record<string, Tone> = {
  live: "good",
  joined: "busy",
  stalled: "wait",
  unreachable: "bad",
  lost: "bad",
  running: "good",
  progressing: "busy",
  failing: "bad",
  degraded: "bad",
  removing: "wait",
  stopped: "off",
  unknown: "unknown",
  pending: "wait",
  placed: "busy",
  starting: "busy",
  waiting: "wait",
  unhealthy: "bad",
  stopping: "wait",
  succeeded: "good",
  failed: "bad",
  active: "busy",
  cancelled: "off",
};

/** The worst first, as they are sorted. */
const RANK: Record<Tone, number> = { bad: 0, unknown: 1, wait: 2, busy: 3, good: 4, off: 5 };

export function toneOf(status: string): Tone {
  return TONES[status] ?? "unknown";
}

export function rankOf(tone: Tone): number {
  return RANK[tone];
}

export interface State {
  tone: Tone;
  text: string;
  /** What else there is to say of it. */
  more: string;
}

export function nodeState(node: Node): State {
  const live = node.status === "live";
  const closed = node.scheduling === "open" ? "" : node.scheduling;
  if (node.stopped_ms) {
    // Whether or not it still counts as live: no return was announced, and nothing is amiss.
    const more = [`by its operator at ${dateTime(node.stopped_ms)}`, closed].filter(Boolean).join(", ");
    return { tone: toneOf("stopped"), text: "stopped", more };
  }
  if (hasLeft(node)) return { tone: toneOf("stopped"), text: "left", more: closed };
  // Said goodbye for a while: it counts as live until that is over.
  const away = live && !!node.departing && node.back_within_ms > 0;
  const gone = node.status === "unreachable" || node.status === "lost";
  const leaving = node.departing && !away ? `leaving: ${node.departing}` : "";
  // What one that is gone said last of its drivers is not what is the matter with it.
  const unwell = (gone ? [] : node.drivers)
    .filter((driver) => !driver.healthy && !driver.absent)
    .map((one) => `${one.name} is unwell`);
  // What is live and all well has that word alone: in a tally it is not to stand beside another of another colour.
  const [text, ...more] = away
    ? ["away", `back within ${span(node.back_within_ms)}`, closed, ...unwell]
    : live && closed
      ? [closed, leaving, ...unwell]
      : live && leaving
        ? ["leaving", node.departing, ...unwell]
        : live && unwell.length
          ? ["unwell", ...unwell]
          : [node.status, closed, leaving, ...unwell];
  const tone = live && text !== "live" ? "wait" : toneOf(node.status);
  return { tone, text, more: more.filter(Boolean).join(", ") };
}

/** It said goodbye for good, and not that its operator stopped it. */
export function hasLeft(node: Node): boolean {
  const gone = node.status === "unreachable" || node.status === "lost";
  return gone && !!node.departing && !node.back_within_ms && !node.stopped_ms;
}

/** Since when it is as `nodeState` says. */
export function nodeSinceMs(node: Node): number {
  if (node.stopped_ms) return node.stopped_ms;
  if (node.status === "stalled") return node.stalled_since_ms || node.since_ms;
  return node.unknown_since_ms || node.since_ms;
}

/** Nothing is heard of it, whether or not it was meant to be so. */
export function isSilent(node: Node): boolean {
  return !!node.stopped_ms || node.status === "unreachable" || node.status === "lost";
}

export function agentState(agent: Agent): State {
  const rollout = agent.rollout;
  let more = "";
  if (rollout?.halted) more = `rollout halted: ${rollout.halted}`;
  else if (rollout?.paused) more = `rollout to v${rollout.version} paused`;
  else if (rollout) more = `rolling out v${rollout.version}`;
  else if (agent.failing) {
    more = agent.failing === 1 ? "1 replica ends again and again" : `${agent.failing} replicas end again and again`;
    if (agent.failing_at_least) more = `at least ${more}`;
  } else if (agent.status === "degraded") {
    const { failed, pending } = agent.counts;
    more = [failed ? `${failed} failed` : "", pending ? `${pending} pending` : ""].filter(Boolean).join(", ");
  }
  const tone = toneOf(agent.status);
  // Another colour has another word: in a tally one word is of one colour.
  if (rollout?.halted && tone !== "bad") return { tone: "bad", text: "halted", more: `${agent.status}, ${more}` };
  if (onlyWaits(agent)) return { tone: "wait", text: "waiting", more };
  return { tone, text: agent.status, more };
}

/** All that is wrong with it is that replicas wait for a place. */
function onlyWaits(agent: Agent): boolean {
  if (agent.status !== "degraded" || agent.rollout?.halted || agent.failing || agent.counts.failed) return false;
  const missing = agent.replicas - agent.running;
  return missing > 0 && (agent.counts.pending ?? 0) >= missing;
}

const ENDED = new Set(["failed", "lost", "stopped", "succeeded"]);

export function instanceState(instance: Instance): State {
  let text: string = hasEnded(instance) ? instance.status : instance.condition;
  let tone = toneOf(text);
  let more = "";
  if (instance.condition === "unhealthy") {
    more = instance.health_message;
  } else if (instance.status === "unknown") {
    more = instance.unknown_because || `was ${instance.last_status}`;
  } else if (instance.unknown_because) {
    tone = "wait";
    more = `was ${instance.failing ? "failing" : text}, ${instance.unknown_because}`;
    text = "away";
  } else if (ENDED.has(instance.status) && instance.exit) {
    more = instance.exit.text;
  }
  // Whether or not it runs at this moment: a list that says so every other second would say nothing.
  if (instance.failing && instance.status !== "unknown" && !instance.unknown_because) {
    const told = [instance.condition, `ended ${plural(instance.ends, "time")} in a row`, more];
    return { tone: "bad", text: "failing", more: told.filter(Boolean).join(", ") };
  }
  return { tone, text, more };
}

/** It is kept for its output and its exit, and comes to nothing any more. */
export function hasEnded(instance: Instance): boolean {
  return ENDED.has(instance.status);
}

/**
 * As what one that has ended is counted apart. A replica of an agent that failed for good or is lost is missing, and said
 * to be that; what a job's came to is told of the job.
 */
export function endedAs(instance: Instance): State | undefined {
  if (!hasEnded(instance)) return undefined;
  const missing = instance.kind === "agent" && toneOf(instance.status) === "bad";
  return missing ? { tone: "bad", text: instance.status, more: "" } : { tone: "off", text: "ended", more: "" };
}

/** Those that run or are to run: what has ended is in lists as long as it is kept, and counted apart. */
export function notEnded(instances: ReadonlyMap<string, Instance>): number {
  let found = 0;
  for (const one of instances.values()) if (!hasEnded(one)) found += 1;
  return found;
}

/** Behind how many there are: `, and 2 that ended`; empty where none has. */
export function andEnded(ended: number): string {
  return ended ? `, and ${count(ended)} that ended` : "";
}

/** What is chosen together: `2 nodes, 3 instances, and 2 that ended`. */
export function chosenWords(nodes: number, instances: readonly Instance[]): string {
  return [nodes && plural(nodes, "node"), instances.length && instancesWords(instances)].filter(Boolean).join(", ");
}

/** `3 instances, and 2 that ended`: what has ended is counted apart. */
export function instancesWords(all: Iterable<Instance>): string {
  let there = 0;
  let ended = 0;
  for (const one of all) {
    if (hasEnded(one)) ended += 1;
    else there += 1;
  }
  if (!ended) return plural(there, "instance");
  return there ? `${plural(there, "instance")}${andEnded(ended)}` : `${plural(ended, "instance")} that ended`;
}
