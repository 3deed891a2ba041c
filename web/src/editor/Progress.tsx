/** From what was asked for to its end: each agent as the view shows it, until it runs as the text says, or cannot. */
import { A } from "@solidjs/router";
import { createMemo, For, Show } from "solid-js";
import { agentHref } from "../actions/target";
import { request } from "../api/client";
import type { Agent, AgentExplanation } from "../api/types";
import { createAsked } from "../pages/asked";
import { useGiven } from "../parts/context";
import { Mark } from "../parts/State";
import { count, plural, visible } from "../words/format";
import { runningWords } from "../words/running";
import type { Tone } from "../words/states";
import type { Step } from "./applying";

/** Of so many that wait for a node it is asked why, each so often. */
const MOST_ASKED = 10;
const AGAIN_MS = 5_000;

interface Shown {
  tone: Tone;
  text: string;
  over: boolean;
}

export function Progress(props: { steps: readonly Step[] }) {
  const { fabric } = useGiven();
  const lines = createMemo(() =>
    props.steps.map((step) => {
      const { done } = step;
      const agent = done.kind === "asked" || done.kind === "same" ? fabric.get("agent", done.id) : undefined;
      return { step, agent, shown: shownOf(step, agent) };
    }),
  );
  const asked = createMemo(() => {
    const pending = lines().flatMap(({ agent, shown }) => (agent?.counts.pending && !shown.over ? [agent.id] : []));
    return new Set(pending.slice(0, MOST_ASKED));
  });
  const verdict = () => {
    const all = lines().map((one) => one.shown);
    if (all.some((one) => one.tone === "bad")) return "It is not as the text says";
    return all.every((one) => one.over) ? "It is done" : "Under way";
  };
  return (
    <section class="card block" aria-labelledby="progress-title">
      <div role="status">
        <h2 id="progress-title">{verdict()}</h2>
      </div>
      <ul class="plan">
        <For each={lines()}>
          {({ step, agent, shown }) => (
            <li class={`tone-${shown.tone}`}>
              <p>
                <Mark tone={shown.tone} />{" "}
                <Show when={agent} fallback={<strong>{visible(`${step.namespace}/${step.name}`)}</strong>}>
                  <A href={agentHref(step.namespace, step.name)}>
                    <strong>{visible(`${step.namespace}/${step.name}`)}</strong>
                  </A>
                </Show>{" "}
                <span class="soft">{visible(shown.text)}</span>
              </p>
              <Show when={agent && !shown.over ? agent : undefined}>
                {(found) => (
                  <div class="progress" role="img" aria-label={wayOf(found()).words}>
                    <span
                      class={found().rollout ? "tone-busy" : "tone-good"}
                      style={{ "flex-grow": wayOf(found()).done }}
                    />
                    <span class="rest" style={{ "flex-grow": Math.max(0, found().replicas - wayOf(found()).done) }} />
                  </div>
                )}
              </Show>
              <Show when={agent && asked().has(agent.id) ? agent : undefined}>
                {(found) => <WhyPending agent={found()} />}
              </Show>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}

/** What keeps it from its place, as Nexus says it of the first that waits. */
function WhyPending(props: { agent: Agent }) {
  const path = () =>
    `/v1/namespaces/${encodeURIComponent(props.agent.namespace)}/agents/${encodeURIComponent(props.agent.name)}/explain`;
  const explained = createAsked(
    path,
    () => [props.agent.revision, props.agent.counts.pending],
    AGAIN_MS,
    (address, signal) => request<AgentExplanation>("GET", address, undefined, signal),
  );
  const why = () => explained.value()?.troubles.find(({ placement }) => placement)?.placement?.text;
  return <Show when={why()}>{(text) => <p class="soft">{visible(text())}</p>}</Show>;
}

function shownOf(step: Step, agent: Agent | undefined): Shown {
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
      return agent ? running(agent, done.version) : { tone: "busy", text: `${done.change}`, over: false };
  }
}

/** Of a new version: what runs of an earlier one is no part of its way. */
function wayOf(agent: Agent): { done: number; words: string } {
  const { rollout } = agent;
  if (!rollout) return { done: agent.running, words: runningWords(agent) };
  return { done: rollout.asked, words: `begun at ${count(rollout.asked)} of ${plural(rollout.replicas, "replica")}` };
}

function running(agent: Agent, version: number): Shown {
  const far = runningWords(agent);
  if (agent.version < version) return { tone: "busy", text: "is asked for", over: false };
  if (agent.version > version)
    return { tone: "wait", text: `is at v${agent.version} by now, by somebody else`, over: true };
  if (agent.rollout?.halted) return { tone: "bad", text: `is halted: ${agent.rollout.halted}`, over: true };
  if (agent.status === "stopped") return { tone: "wait", text: "is stopped: start brings it up", over: true };
  if (agent.rollout)
    return {
      tone: "busy",
      text: `rolls out v${version}${agent.rollout.paused ? ", paused" : ""}: ${wayOf(agent).words}; in any version ${far}`,
      over: false,
    };
  if (agent.counts.failed) return { tone: "bad", text: `${far}, ${count(agent.counts.failed)} failed`, over: false };
  if (agent.counts.succeeded === agent.replicas && agent.replicas)
    return { tone: "good", text: "has ended well", over: true };
  if (agent.running === agent.replicas) return { tone: "good", text: far, over: true };
  const waiting = agent.counts.pending ? `, ${count(agent.counts.pending)} pending` : "";
  return { tone: "busy", text: `${far}${waiting}`, over: false };
}
