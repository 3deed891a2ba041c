/** What a text would come to: each agent, field by field; where replicas would go; what is lost; the same for a terminal. */
import { For, Show } from "solid-js";
import { Copied } from "../actions/Copied";
import { Differences } from "../actions/Differences";
import { OutlookView } from "../actions/OutlookView";
import { interrupted } from "../actions/outlook";
import { bytes, cores, plural, visible } from "../words/format";
import type { Plan, Planned } from "./plan";

const MOST_SHOWN = 40;

export function PlanView(props: { plan: Plan; command: string; noun?: string }) {
  const losses = () => lossesOf(props.plan);
  return (
    <>
      <section class="card block" aria-labelledby="plan-title">
        <h2 id="plan-title">What would change</h2>
        <ul class="plan">
          <For each={props.plan.agents.slice(0, MOST_SHOWN)}>{(one) => <AgentLine one={one} />}</For>
          <Show when={props.plan.agents.length > MOST_SHOWN}>
            <li class="faint">and {plural(props.plan.agents.length - MOST_SHOWN, "agent")} more</li>
          </Show>
        </ul>
        <Show when={losses().length}>
          <div class="losses">
            <strong>What is lost</strong>
            <ul>
              <For each={losses()}>{(one) => <li>{visible(one)}</li>}</For>
            </ul>
          </div>
        </Show>
      </section>
      <Show when={changes(props.plan)}>
        <section class="card block" aria-labelledby="outlook-title">
          <h2 id="outlook-title">Where replicas would go</h2>
          <Show
            when={props.plan.outlook}
            fallback={
              <p class="soft">
                {props.plan.outlookAfterS ? "" : "It cannot be told: "}
                {visible(props.plan.noOutlook)}
              </p>
            }
          >
            {(found) => <OutlookView of={found()} anew />}
          </Show>
        </section>
      </Show>
      <div class="card block on-the-command-line">
        <span class="faint">The same on the command line, with the text in a file</span>
        <Copied text={props.command} />
      </div>
    </>
  );
}

function AgentLine(props: { one: Planned }) {
  const agent = () => props.one.changed.agent;
  const plan = () => props.one.changed.plan;
  const sign = () => ({ created: "+", unchanged: "=" })[props.one.changed.change] ?? "~";
  const word = () => {
    const { change } = props.one.changed;
    if (change === "created") return "a new agent";
    if (change === "unchanged") return `unchanged, v${plan()?.version_after ?? ""}`;
    const before = plan()?.version_before ?? 0;
    const after = plan()?.version_after ?? 0;
    return before === after ? `v${after}` : `v${before} → v${after}`;
  };
  const replicas = () => {
    const before = plan()?.replicas_before ?? 0;
    const after = plan()?.replicas_after ?? 0;
    return props.one.changed.change === "created" || before === after
      ? plural(after, "replica")
      : `${before} → ${plural(after, "replica")}`;
  };
  const tone = () => ({ created: "good", unchanged: "off" })[props.one.changed.change] ?? "busy";
  return (
    <li class={`tone-${tone()}`}>
      <p>
        <span class="plan-sign" aria-hidden="true">
          {sign()}
        </span>
        <strong>{visible(`${props.one.namespace}/${props.one.name}`)}</strong> <span>{word()}</span>
        <span class="soft">
          {" "}
          · {replicas()} · {visible(agent()?.driver ?? "")} · {cores(agent()?.cpu_milli ?? 0)} cpu and{" "}
          {bytes(agent()?.memory_bytes ?? 0)} each
        </span>
      </p>
      <Show when={props.one.changed.change !== "created" && plan()?.differences?.length}>
        <Differences of={plan()?.differences ?? []} />
      </Show>
      <For each={(plan()?.note ?? "").split("\n").filter(Boolean)}>{(note) => <p class="soft">{visible(note)}</p>}</For>
    </li>
  );
}

export function changes(plan: Plan | undefined): number {
  return (plan?.agents ?? []).filter((one) => one.changed.change !== "unchanged").length;
}

function lossesOf(plan: Plan): string[] {
  const gone = plan.outlook ? interrupted(plan.outlook) : 0;
  const found = gone ? [`What ${plural(gone, "instance")} ${gone === 1 ? "has" : "have"} in memory is gone.`] : [];
  for (const one of plan.agents) {
    const volumes = Object.keys(one.before?.spec.volumes ?? {});
    const kept = new Set(Object.keys((one.spec as { volumes?: object } | undefined)?.volumes ?? {}));
    const left = volumes.filter((name) => !kept.has(name));
    if (left.length)
      found.push(`${one.name} has its volume ${left.join(", ")} no more; what is in it stays on its node.`);
  }
  return found;
}
