/** From what was asked for to its end: each agent as the view shows it, until it runs as the text says, or cannot. */
import { A } from "@solidjs/router";
import { createMemo, Index, Show } from "solid-js";
import { agentHref, instanceHref } from "../actions/target";
import { request } from "../api/client";
import type { Agent, AgentExplanation } from "../api/types";
import { createAsked } from "../pages/asked";
import { useGiven } from "../parts/context";
import { Mark } from "../parts/State";
import { visible } from "../words/format";
import type { Step } from "./applying";
import { failingOf, shownOf, troubleOf, verdictOf, wayOf } from "./reached";

/** Of so many that fail or wait for a node it is asked why, each so often. */
const MOST_ASKED = 10;
const AGAIN_MS = 5_000;

export function Progress(props: { steps: readonly Step[] }) {
  const { fabric } = useGiven();
  const lines = createMemo(() =>
    props.steps.map((step) => {
      const { done } = step;
      const agent = done.kind === "asked" || done.kind === "same" ? fabric.get("agent", done.id) : undefined;
      const failing =
        agent && done.kind === "asked" && (agent.failing || agent.counts.failed)
          ? failingOf(fabric.all("instance").values(), agent, done.version)
          : 0;
      return { step, agent, failing, shown: shownOf(step, agent, failing) };
    }),
  );
  const asked = createMemo(() => {
    const wanting = lines().flatMap(({ agent, failing, shown }) =>
      agent && (failing || (agent.counts.pending && !shown.over)) ? [agent.id] : [],
    );
    return new Set(wanting.slice(0, MOST_ASKED));
  });
  const verdict = () => verdictOf(lines().map((one) => one.shown));
  return (
    <section class="card block" aria-labelledby="progress-title">
      <div role="status">
        <h2 id="progress-title">{verdict()}</h2>
      </div>
      <ul class="plan">
        {/* By place: a row and what it asks for last while its agent changes. */}
        <Index each={lines()}>
          {(one) => (
            <li class={`tone-${one().shown.tone}`}>
              <p>
                <Mark tone={one().shown.tone} />{" "}
                <Show
                  when={one().agent}
                  fallback={<strong>{visible(`${one().step.namespace}/${one().step.name}`)}</strong>}
                >
                  <A href={agentHref(one().step.namespace, one().step.name)}>
                    <strong>{visible(`${one().step.namespace}/${one().step.name}`)}</strong>
                  </A>
                </Show>{" "}
                <span class="soft">{visible(one().shown.text)}</span>
              </p>
              <Show when={one().shown.over ? undefined : one().agent}>
                {(found) => (
                  <div class="progress" role="img" aria-label={wayOf(found()).words}>
                    <span
                      class={one().shown.fails ? "tone-bad" : found().rollout ? "tone-busy" : "tone-good"}
                      style={{ "flex-grow": wayOf(found()).done }}
                    />
                    <span class="rest" style={{ "flex-grow": Math.max(0, found().replicas - wayOf(found()).done) }} />
                  </div>
                )}
              </Show>
              <Show when={asked().has(one().agent?.id ?? "") ? one().agent : undefined}>
                {(found) => <Why agent={found()} version={versionOf(one().step)} failing={one().failing} />}
              </Show>
            </li>
          )}
        </Index>
      </ul>
    </section>
  );
}

function versionOf(step: Step): number {
  return step.done.kind === "asked" ? step.done.version : 0;
}

/** What of it fails, with its last line; or what keeps it from its place: as Nexus says it of the first. */
function Why(props: { agent: Agent; version: number; failing: number }) {
  const path = () =>
    `/v1/namespaces/${encodeURIComponent(props.agent.namespace)}/agents/${encodeURIComponent(props.agent.name)}/explain`;
  const explained = createAsked(
    path,
    () => [props.agent.revision, props.agent.counts.pending, props.failing],
    AGAIN_MS,
    (address, signal) => request<AgentExplanation>("GET", address, undefined, signal),
  );
  const trouble = () => {
    const found = explained.value();
    return found ? troubleOf(found, props.version) : undefined;
  };
  return (
    <Show when={trouble()}>
      {(found) => (
        <Show when={props.failing} fallback={<p class="soft">{visible(found().placement?.text ?? found().text)}</p>}>
          <p>
            <A href={instanceHref(found().instance.id)}>{visible(found().instance.name)}</A> {visible(found().text)}
          </p>
          <Show when={found().last_output.findLast((line) => line.trim())}>
            {(line) => (
              <p class="last-line">
                <span class="faint">Its last line</span> <code>{visible(line())}</code>
              </p>
            )}
          </Show>
          <p class="soft">
            All of it is on <A href={agentHref(props.agent.namespace, props.agent.name)}>the page of the agent</A>.
          </p>
        </Show>
      )}
    </Show>
  );
}
