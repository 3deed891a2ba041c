import { A } from "@solidjs/router";
import { createMemo, For, Show } from "solid-js";
import { agentHref, nodeHref, type Target } from "../../actions";
import { request } from "../../api/client";
import type { Instance, InstanceExplanation } from "../../api/types";
import { Charts, type Drawn } from "../../charts/Charts";
import type { Mark } from "../../charts/marks";
import { coresUsed } from "../../charts/series";
import { useGiven } from "../../parts/context";
import { useNames } from "../../parts/names";
import { useTitle } from "../../parts/title";
import { countedDown } from "../../words/counting";
import { bytes, cores, count, dateTime, span, visible } from "../../words/format";
import { instanceState } from "../../words/states";
import { createAsked } from "../asked";
import { LogCard } from "../logs/LogView";
import { endOf, versionMs } from "./happened";
import { idNamed } from "./InstanceByName";
import { EventsAbout, Figure, Gone, Head, LastDeath } from "./parts";

/** By its id; or by the name that events have, which is looked up once. */
export function InstanceDetail() {
  const { fabric } = useGiven();
  const params = useNames<{ id?: string; namespace?: string; name?: string }>();
  const id = createMemo(() => {
    return params.id || idNamed(fabric.all("instance").values(), params.namespace, params.name);
  });
  const instance = () => fabric.get("instance", id());
  useTitle(() => visible(instance()?.name ?? params.name ?? "Instance"));
  return (
    <Show
      when={instance()}
      fallback={
        <Gone what={`Instance ${visible(params.name ?? params.id ?? "")}`} href="/instances" list="All instances" />
      }
    >
      {(found) => <Body instance={found()} />}
    </Show>
  );
}

function failing(one: { rule: string; subject: string; need: string; have: string }): string {
  const what = [one.rule, one.subject].filter(Boolean).join(" ");
  return one.need || one.have ? `${what}: needs ${one.need || "it"}, has ${one.have || "none"}` : what;
}

function Body(props: { instance: Instance }) {
  const { nowMs } = useGiven();
  const explained = createAsked(
    () => props.instance.id,
    () => props.instance.revision,
    10_000,
    async (id, signal) => {
      const path = `/v1/instances/${encodeURIComponent(id)}/explain?nodes=20`;
      const found = await request<InstanceExplanation>("GET", path, undefined, signal);
      return { ...found, saidMs: nowMs() };
    },
  );
  const charts = createMemo(
    (): Drawn[] => [
      {
        title: "CPU, cores",
        metric: "omnitide_instance_cpu_seconds_total",
        labels: { instance_id: props.instance.id },
        ofOneNode: true,
        form: coresUsed,
        ceiling: (props.instance.cpu_milli ?? 0) / 1000,
      },
      {
        title: "Memory",
        metric: "omnitide_instance_memory_working_set_bytes",
        labels: { instance_id: props.instance.id },
        ofOneNode: true,
        form: bytes,
        ceiling: props.instance.memory_bytes ?? 0,
      },
    ],
    undefined,
    { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) },
  );
  const marks = (): Mark[] => [
    { atMs: versionMs(props.instance), text: `v${props.instance.version}`, kind: "version" },
    ...((props.instance.attempt ?? 0) > 1 && props.instance.started_ms
      ? [{ atMs: props.instance.started_ms, text: `attempt ${props.instance.attempt}`, kind: "attempt" as const }]
      : []),
  ];
  const target = (): Target => ({ kind: "instance", object: props.instance });
  const above = () => {
    const { kind, namespace, workload } = props.instance;
    return [
      { text: "Instances", href: "/instances" },
      ...(kind === "agent" ? [{ text: workload, href: agentHref(namespace, workload) }] : []),
    ];
  };
  const facts = (): [string, string][] =>
    (
      [
        ["Id", props.instance.id],
        ["Namespace", props.instance.namespace],
        [
          "Health",
          props.instance.health === "unknown" ? "" : `${props.instance.health} ${props.instance.health_message ?? ""}`,
        ],
        ["Handle", props.instance.handle ?? ""],
        ["Address", props.instance.address ?? ""],
        [
          "Ports",
          Object.entries(props.instance.ports ?? {})
            .map(([name, port]) => `${name} ${port}`)
            .join(", "),
        ],
        ["Created", dateTime(props.instance.created_ms)],
        ["Started", props.instance.started_ms ? dateTime(props.instance.started_ms) : ""],
        ["Stop reason", props.instance.stop_reason ?? ""],
        ["Not enforced there", (props.instance.unenforced ?? []).join(", ")],
        ["Correlation", props.instance.correlation ?? ""],
      ] as [string, string][]
    ).filter(([, value]) => value.trim());

  return (
    <>
      <Head above={above()} title={props.instance.name} state={instanceState(props.instance)} targets={[target()]} />
      <div class="page-body">
        <div class="detail">
          <section class="card" aria-label="Figures">
            <dl class="figures">
              <Figure title="Node">
                <Show when={props.instance.node} fallback={<span class="faint">none yet</span>}>
                  {(node) => <A href={nodeHref(node())}>{visible(node())}</A>}
                </Show>
              </Figure>
              <Figure title="Since">{span(nowMs() - props.instance.since_ms)}</Figure>
              <Figure title="Version">v{props.instance.version}</Figure>
              <Figure title="Generation">{count(props.instance.generation)}</Figure>
              <Figure title="Attempts">
                {count(props.instance.attempt ?? 0)}
                <Show when={props.instance.status !== "succeeded" && props.instance.ends}>
                  <small> {count(props.instance.ends ?? 0)} ended in a row</small>
                </Show>
              </Figure>
              <Figure title="CPU">{props.instance.cpu_milli ? cores(props.instance.cpu_milli) : "–"}</Figure>
              <Figure title="Memory">{props.instance.memory_bytes ? bytes(props.instance.memory_bytes) : "–"}</Figure>
            </dl>
          </section>
          <div class="detail-column main-part">
            <Show
              when={
                explained.value() ??
                (explained.failed() ? { text: explained.failed(), placement: null, saidMs: 0 } : undefined)
              }
            >
              {(said) => (
                <section class="card block" aria-labelledby="why-title">
                  <h2 id="why-title">Why it is as it is</h2>
                  <p class="said">
                    {visible(countedDown(said().text, nowMs() - said().saidMs)).replaceAll("\\u000a", "\n")}
                  </p>
                  <Show when={said().placement?.table?.length}>
                    <ul class="list">
                      <For each={said().placement?.table}>
                        {(row) => (
                          <li>
                            <span class="list-words">
                              <A href={nodeHref(row.name)}>{visible(row.name)}</A>{" "}
                              <span class="soft">
                                {row.fits ? "fits" : visible((row.failures ?? []).map(failing).join("; "))}
                              </span>
                            </span>
                          </li>
                        )}
                      </For>
                    </ul>
                  </Show>
                </section>
              )}
            </Show>
            <section class="card block flush" aria-labelledby="output-title">
              <div class="block-head">
                <h2 id="output-title">Output</h2>
                <A href={`/instances/${encodeURIComponent(props.instance.id)}/logs`}>Whole page</A>
              </div>
              <LogCard
                of={props.instance.node ? [`instance:${props.instance.id}`] : []}
                many={false}
                file={props.instance.name}
                tail={500}
                height="320px"
              />
            </section>
            <Charts charts={charts()} marks={marks()} />
          </div>
          <div class="detail-column side-part">
            <Show when={endOf(props.instance)}>
              {(last) => (
                <LastDeath
                  title={last().title}
                  of={last().of}
                  exit={last().exit}
                  output={explained.value()?.last_output ?? []}
                  missing={explained.value()?.last_output_missing ?? ""}
                />
              )}
            </Show>
            <section class="card block" aria-labelledby="facts-title">
              <h2 id="facts-title">Facts</h2>
              <dl class="facts">
                <For each={facts()}>
                  {([name, value]) => (
                    <>
                      <dt>{name}</dt>
                      <dd>{visible(value)}</dd>
                    </>
                  )}
                </For>
              </dl>
            </section>
            <EventsAbout
              subject={`instance/${props.instance.namespace}/${props.instance.name}`}
              when={() => props.instance.revision}
            />
          </div>
        </div>
      </div>
    </>
  );
}
