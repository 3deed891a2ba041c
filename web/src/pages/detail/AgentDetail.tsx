import { A } from "@solidjs/router";
import { createMemo, For, Index, Show } from "solid-js";
import { actionById, begin, instanceHref, type Target } from "../../actions";
import { Differences } from "../../actions/Differences";
import { RolloutButtons } from "../../actions/RolloutButtons";
import { progressOf } from "../../actions/rollout";
import { waysBack } from "../../actions/waysBack";
import { request } from "../../api/client";
import type {
  Agent,
  AgentExplanation,
  AgentVersionList,
  Instance,
  InstanceExplanation,
  RolloutStatus,
} from "../../api/types";
import { Charts, type Drawn } from "../../charts/Charts";
import type { Mark } from "../../charts/marks";
import { coresUsed } from "../../charts/series";
import { useGiven } from "../../parts/context";
import { useNames } from "../../parts/names";
import { useTitle } from "../../parts/title";
import { IN_THE_PAST, pastRevision } from "../../past/when";
import { countedDown } from "../../words/counting";
import { bytes, cores, count, dateTime, plural, span, visible } from "../../words/format";
import { ranOf, surplusOf, surplusWords } from "../../words/running";
import { agentState } from "../../words/states";
import { createAsked } from "../asked";
import { LogCard } from "../logs/LogView";
import { lastDeath, whoDied } from "./happened";
import { EventsAbout, Figure, Gone, Head, InstanceTable, LastDeath } from "./parts";

export function AgentDetail() {
  const { fabric } = useGiven();
  const params = useNames<{ namespace: string; name: string }>();
  const id = createMemo(() => {
    for (const one of fabric.all("agent").values()) {
      if (one.name === params.name && one.namespace === params.namespace) return one.id;
    }
    return "";
  });
  useTitle(() => visible(params.name));
  const agent = () => fabric.get("agent", id());
  return (
    <Show when={agent()} fallback={<Gone what={`Agent ${visible(params.name)}`} href="/agents" list="All agents" />}>
      {(found) => <Body agent={found()} />}
    </Show>
  );
}

function Body(props: { agent: Agent }) {
  const { fabric, nowMs } = useGiven();
  const path = () =>
    `/v1/namespaces/${encodeURIComponent(props.agent.namespace)}/agents/${encodeURIComponent(props.agent.name)}`;
  const when = () => props.agent.revision;
  const ask = <T,>(tail: string, everyMs: number) =>
    createAsked(
      () => `${path()}/${tail}`,
      () => [when(), props.agent.status, props.agent.running],
      everyMs,
      (address, signal) => request<T>("GET", address, undefined, signal),
    );
  const explained = createAsked(
    () => `${path()}/explain`,
    () => [when(), props.agent.status, props.agent.running],
    10_000,
    async (address, signal) => {
      const found = await request<AgentExplanation>("GET", address, undefined, signal);
      return { ...found, saidMs: nowMs() };
    },
  );
  const points = (said: AgentExplanation) => said.points ?? [];
  const told = (said: string, saidMs: number) =>
    visible(countedDown(said, nowMs() - saidMs)).replaceAll("\\u000a", "\n");
  const versions = ask<AgentVersionList>("versions", 60_000);
  const rollout = ask<RolloutStatus>("rollout", 5_000);

  const instances = createMemo(() =>
    [...fabric.all("instance").values()].filter((one) => one.workload_id === props.agent.id && one.kind === "agent"),
  );
  const death = createMemo(() => lastDeath(instances()));
  const died = createAsked(
    () => death()?.instance.id,
    () => death()?.exit.ended_ms,
    60_000,
    (one, signal) =>
      request<InstanceExplanation>("GET", `/v1/instances/${encodeURIComponent(one)}/explain`, undefined, signal),
  );
  const sources = createMemo(
    () =>
      instances()
        .filter((one) => one.node)
        .sort((a, b) => a.slot - b.slot || a.generation - b.generation)
        .map((one) => ({ id: one.id, name: one.name })),
    undefined,
    { equals: (a, b) => a.length === b.length && a.every((one, index) => one.id === b[index]?.id) },
  );
  const labels = () => ({ namespace: props.agent.namespace, agent: props.agent.name });
  const charts = (): Drawn[] => [
    {
      title: "CPU, cores of all replicas",
      metric: "omnitide_instance_cpu_seconds_total",
      labels: labels(),
      form: coresUsed,
    },
    {
      title: "Memory of all replicas",
      metric: "omnitide_instance_memory_working_set_bytes",
      labels: labels(),
      form: bytes,
    },
  ];
  const fixedCharts = createMemo(charts, undefined, { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) });
  const ways = createMemo(() => new Set(waysBack(versions.value()?.items ?? []).map((one) => one.number)));
  const marks = createMemo(() =>
    (versions.value()?.items ?? []).map(
      (one): Mark => ({ atMs: one.created_ms, text: `v${one.number}`, kind: "version" }),
    ),
  );
  const target = (): Target => ({ kind: "agent", object: props.agent });
  const halted = () => props.agent.rollout?.halted ?? "";
  // Why is told once, below.
  const state = () => {
    const told = agentState(props.agent);
    return halted() ? { ...told, more: told.more.replace(`: ${halted()}`, "") } : told;
  };

  return (
    <>
      <Head
        above={[
          { text: "Agents", href: "/agents" },
          { text: props.agent.namespace, href: `/agents?q=namespace:${encodeURIComponent(props.agent.namespace)}` },
        ]}
        title={props.agent.name}
        state={state()}
        targets={[target()]}
      />
      <div class="page-body">
        <div class="detail">
          <section class="card" aria-label="Figures">
            <dl class="figures">
              <Figure title="Running">
                {count(ranOf(props.agent))}{" "}
                <small>
                  of {count(props.agent.replicas)}
                  <Show when={surplusOf(props.agent)}>{(surplus) => `, ${surplusWords(surplus())}`}</Show>
                </small>
              </Figure>
              <Figure title="Version">
                v{props.agent.version}
                <Show when={versions.value()?.items[0]}>
                  {(newest) => <small> {span(nowMs() - newest().created_ms)} ago</small>}
                </Show>
              </Figure>
              <Figure title="Driver">{visible(props.agent.driver)}</Figure>
              <Figure title="CPU each">{props.agent.cpu_milli ? cores(props.agent.cpu_milli) : "–"}</Figure>
              <Figure title="Memory each">{props.agent.memory_bytes ? bytes(props.agent.memory_bytes) : "–"}</Figure>
              <Figure title="Age">{span(nowMs() - props.agent.created_ms)}</Figure>
              <Show when={Object.keys(props.agent.labels ?? {}).length}>
                <Figure title="Labels">
                  <span class="chips wrap">
                    <For each={Object.entries(props.agent.labels ?? {})}>
                      {([key, value]) => <span class="chip">{visible(`${key}=${value}`)}</span>}
                    </For>
                  </span>
                </Figure>
              </Show>
            </dl>
          </section>

          <div class="detail-column main-part">
            <Show when={props.agent.rollout && rollout.value()}>
              {(now) => (
                <RolloutCard
                  agent={props.agent}
                  instances={instances()}
                  status={now()}
                  halted={explained.value()?.text.includes(halted()) ? "" : halted()}
                />
              )}
            </Show>
            <Show when={explained.value()} fallback={<Saying failed={explained.failed()} />}>
              {(said) => (
                <section class="card block" aria-labelledby="why-title">
                  <h2 id="why-title">Why it is as it is</h2>
                  <Show
                    when={points(said()).length > 1}
                    fallback={<p class="said">{told(said().text, said().saidMs)}</p>}
                  >
                    <ul class="said">
                      <For each={points(said())}>{(point) => <li>{told(point, said().saidMs)}</li>}</For>
                    </ul>
                  </Show>
                </section>
              )}
            </Show>
            <InstanceTable label="Instances" instances={instances()} withNode />
            <Charts charts={fixedCharts()} marks={marks()} />
            <section class="card block flush" aria-labelledby="output-title">
              <div class="block-head">
                <h2 id="output-title">Output</h2>
                <A href={`/logs/${encodeURIComponent(props.agent.namespace)}/${encodeURIComponent(props.agent.name)}`}>
                  Whole page
                </A>
              </div>
              <LogCard
                of={sources().length ? [`agent:${props.agent.namespace}/${props.agent.name}`] : []}
                many
                file={props.agent.name}
                tail={200}
                height="280px"
              />
            </section>
          </div>

          <div class="detail-column side-part">
            <Show when={death()}>
              {(last) => (
                <LastDeath
                  of={whoDied(last())}
                  href={instanceHref(last().instance.id)}
                  exit={last().exit}
                  output={died.value()?.last_output ?? []}
                  missing={died.value()?.last_output_missing ?? ""}
                />
              )}
            </Show>
            <section class="card block" aria-labelledby="versions-title">
              <div class="block-head">
                <h2 id="versions-title">Versions</h2>
                <span class="faint">{versions.value() ? count(versions.value()?.items.length ?? 0) : ""}</span>
              </div>
              <Show when={versions.value()} fallback={<p class="soft">{versions.failed() || "Asking Nexus…"}</p>}>
                {(list) => (
                  <ol class="versions">
                    <For each={list().items}>
                      {(one) => (
                        <li>
                          <div class="version-head">
                            <strong>v{one.number}</strong>
                            <span class="soft">{visible(one.reason)}</span>
                            <time
                              class="faint"
                              title={dateTime(one.created_ms)}
                              datetime={new Date(one.created_ms).toISOString()}
                            >
                              {span(nowMs() - one.created_ms)} ago
                            </time>
                            <Show when={one.by}>{(by) => <span class="faint">by {visible(by())}</span>}</Show>
                            <Show when={!one.proven && !one.current}>
                              <span class={one.fault ? "tone-bad state-text" : "soft"}>
                                {one.fault ? `did not work: ${visible(one.fault)}` : "not known to work"}
                              </span>
                            </Show>
                            <Show
                              when={one.current}
                              fallback={
                                <Show when={ways().has(one.number)}>
                                  <button
                                    type="button"
                                    class="button"
                                    disabled={pastRevision() > 0}
                                    title={pastRevision() ? IN_THE_PAST : `Roll back to v${one.number}`}
                                    onClick={() => begin(actionById("agent.rollback"), [target()], one.number)}
                                  >
                                    Roll back to v{one.number}
                                  </button>
                                </Show>
                              }
                            >
                              <span class="chip">current</span>
                            </Show>
                          </div>
                          <Show when={one.differences?.length}>
                            <Differences of={one.differences ?? []} most={8} />
                          </Show>
                        </li>
                      )}
                    </For>
                  </ol>
                )}
              </Show>
            </section>
            <EventsAbout
              subject={`agent/${props.agent.namespace}/${props.agent.name}`}
              when={() => [when(), props.agent.running]}
            />
          </div>
        </div>
      </div>
    </>
  );
}

function Saying(props: { failed: string }) {
  return (
    <section class="card block">
      <p class="soft">{props.failed ? visible(props.failed) : "Asking Nexus why it is as it is…"}</p>
    </section>
  );
}

function RolloutCard(props: { agent: Agent; instances: readonly Instance[]; status: RolloutStatus; halted: string }) {
  const { nowMs } = useGiven();
  const tone = () => (props.status.verdict === "halted" ? "bad" : props.status.verdict === "paused" ? "wait" : "busy");
  const far = () =>
    `${count(props.status.updated)} of ${plural(props.status.replicas, "replica")} at v${props.status.version}`;
  return (
    <section class={`card block tone-${tone()}`} aria-labelledby="rollout-title">
      <div class="block-head">
        <h2 id="rollout-title">
          Rollout of v{props.status.version}: {props.status.verdict}
        </h2>
        <span class="faint">{span(nowMs() - props.status.started_ms)}</span>
      </div>
      <div class="progress" role="img" aria-label={far()}>
        <Index each={progressOf(props.status, props.instances)}>
          {(part) => (
            <span class={part().tone ? `tone-${part().tone}` : "rest"} style={{ "flex-grow": part().count }} />
          )}
        </Index>
      </div>
      <p class="soft">
        {far()}; {count(props.status.available)} of {count(props.status.replicas)} available (running and ready), in
        whichever version.
        <Show when={props.halted}> {visible(props.halted)}</Show>
      </p>
      <RolloutButtons agent={props.agent} />
    </section>
  );
}
