/** How far an agent that was applied has come, in words. Pure. */
import type { Agent, AgentExplanation, Instance, InstanceExplanation } from "../api/types";
import { count, plural } from "../words/format";
import { runningWords } from "../words/running";
import type { Tone } from "../words/states";
import type { Step } from "./applying";

export interface Shown {
  tone: Tone;
  text: string;
  over: boolean;
  /** Replicas of what was applied fail, while it goes on. */
  fails?: boolean;
}

/** `failing`: how many of its replicas in the version that was applied fail. */
export function shownOf(step: Step, agent: Agent | undefined, failing: number): Shown {
  const { done } = step;
  switch (done.kind) {
    case "waiting":
      return { tone: "off", text: "is next", over: false };
    case "left":
      return { tone: "off", text: "was left as it is", over: true };
    case "refused":
      return { tone: "bad", text: `was refused: ${done.message}${done.hint ? `; ${done.hint}` : ""}`, over: true };
    case "same":
      return { tone: "good", text: "is as the text says", over: true };
    case "asked":
      return agent ? running(agent, done.version, failing) : { tone: "busy", text: `${done.change}`, over: false };
  }
}

/** Those of an agent in a version, and later ones, that end again and again or have failed. */
export function failingOf(instances: Iterable<Instance>, agent: Agent, version: number): number {
  let found = 0;
  for (const one of instances) {
    if (one.workload_id !== agent.id || one.kind !== "agent" || one.version < version) continue;
    if (one.failing || one.status === "failed") found += 1;
  }
  return found;
}

/** What of the version that was applied fails; else what waits for a node. */
export function troubleOf(explained: AgentExplanation, version: number): InstanceExplanation | undefined {
  const fails = explained.troubles.find(
    ({ instance }) => instance.version >= version && (instance.failing || instance.status === "failed"),
  );
  return fails ?? explained.troubles.find(({ placement }) => placement);
}

export function verdictOf(all: readonly Shown[]): string {
  if (all.some((one) => one.tone === "bad" && !one.fails)) return "It is not as the text says";
  if (all.some((one) => one.fails)) return "Under way, and failing";
  return all.every((one) => one.over) ? "It is done" : "Under way";
}

/** Of a new version: what runs of an earlier one is no part of its way. */
export function wayOf(agent: Agent): { done: number; words: string } {
  const { rollout } = agent;
  if (!rollout) return { done: agent.running, words: runningWords(agent) };
  return { done: rollout.asked, words: `begun at ${count(rollout.asked)} of ${plural(rollout.replicas, "replica")}` };
}

function running(agent: Agent, version: number, failing: number): Shown {
  const far = runningWords(agent);
  if (agent.version < version) return { tone: "busy", text: "is asked for", over: false };
  if (agent.version > version)
    return { tone: "wait", text: `is at v${agent.version} by now, by somebody else`, over: true };
  if (agent.rollout?.halted) return { tone: "bad", text: `is halted: ${agent.rollout.halted}`, over: true };
  if (agent.status === "stopped") return { tone: "wait", text: "is stopped: start brings it up", over: true };
  const fails = failing ? `, ${plural(failing, "replica")} of v${version} ${failing === 1 ? "fails" : "fail"}` : "";
  if (agent.rollout) {
    const text = `rolls out v${version}${agent.rollout.paused ? ", paused" : ""}: ${wayOf(agent).words}${fails}; in any version ${far}`;
    return failing ? { tone: "bad", text, over: false, fails: true } : { tone: "busy", text, over: false };
  }
  if (agent.counts.failed) return { tone: "bad", text: `${far}, ${count(agent.counts.failed)} failed`, over: false };
  if (failing) return { tone: "bad", text: `${far}${fails}`, over: false, fails: true };
  if (agent.counts.succeeded === agent.replicas && agent.replicas)
    return { tone: "good", text: "has ended well", over: true };
  if (agent.running === agent.replicas) return { tone: "good", text: far, over: true };
  const waiting = agent.counts.pending ? `, ${count(agent.counts.pending)} pending` : "";
  return { tone: "busy", text: `${far}${waiting}`, over: false };
}
