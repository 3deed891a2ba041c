/** What a state means, for its colour and its shape: colour alone never tells. */
import type { Agent, Instance, Node } from "../api/types";
import { span } from "./format";

export type Tone = "good" | "busy" | "wait" | "bad" | "unknown" | "off";

const TONES: Record<string, Tone> = {
  live: "good",
  joined: "busy",
  stalled: "wait",
  unreachable: "bad",
  lost: "bad",
  running: "good",
  progressing: "busy",
  degraded: "bad",
  removing: "wait",
  stopped: "off",
  unknown: "unknown",
  pending: "wait",
  placed: "busy",
  starting: "busy",
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
  const closed = node.scheduling === "open" ? "" : node.scheduling;
  let tone = toneOf(node.status);
  if (tone === "good" && (closed || node.departing)) tone = "wait";
  // Said goodbye for a while: it counts as live until that is over.
  const away = node.status === "live" && !!node.departing && node.back_within_ms > 0;
  const silent = node.drivers.filter((driver) => !driver.healthy && !driver.absent);
  if (tone === "good" && silent.length) tone = "wait";
  const more = [
    closed,
    away ? `back within ${span(node.back_within_ms)}` : node.departing && `leaving: ${node.departing}`,
    ...silent.map((one) => `${one.name} is unwell`),
  ];
  return { tone, text: away ? "away" : node.status, more: more.filter(Boolean).join(", ") };
}

export function agentState(agent: Agent): State {
  const rollout = agent.rollout;
  let more = "";
  if (rollout?.halted) more = `rollout halted: ${rollout.halted}`;
  else if (rollout?.paused) more = `rollout to v${rollout.version} paused`;
  else if (rollout) more = `rolling out v${rollout.version}`;
  return { tone: rollout?.halted ? "bad" : toneOf(agent.status), text: agent.status, more };
}

const ENDED = new Set(["failed", "lost", "stopped", "succeeded"]);

export function instanceState(instance: Instance): State {
  let tone = toneOf(instance.status);
  let more = "";
  if (instance.status === "running" && instance.health === "unhealthy") {
    tone = "bad";
    more = instance.health_message ? `unhealthy: ${instance.health_message}` : "unhealthy";
  } else if (instance.status === "unknown") {
    more = instance.unknown_because || `was ${instance.last_status}`;
  } else if (instance.unknown_because) {
    tone = "wait";
    more = instance.unknown_because;
  } else if (ENDED.has(instance.status) && instance.exit) {
    more = instance.exit.text;
  }
  return { tone, text: instance.status, more };
}
