/** What is selected: one node, one instance or many, and what can be done with it. */
import { A } from "@solidjs/router";
import ChevronUp from "lucide-solid/icons/chevron-up";
import X from "lucide-solid/icons/x";
import {
  createEffect,
  createMemo,
  createSignal,
  For,
  lazy,
  Match,
  on,
  onCleanup,
  Show,
  Suspense,
  Switch,
} from "solid-js";
import { ActionBar, agentHref, instanceHref, nodeHref, type Target } from "../actions";
import { RolloutButtons } from "../actions/RolloutButtons";
import { request } from "../api/client";
import type { AgentFull, Instance, InstanceExplanation, Node } from "../api/types";
import { createAsked } from "../pages/asked";
import { useGiven } from "../parts/context";
import { Meter } from "../parts/Meter";
import { retried } from "../parts/retried";
import { State } from "../parts/State";
import { bytes, cores, count, span, visible } from "../words/format";
import { agentState, instanceState, isSilent, nodeSinceMs, nodeState } from "../words/states";
import { chartsOf } from "./Glance";
import { Many } from "./Many";
import type { City } from "./model/city";
import type { Selection } from "./model/groups";
import { marking, type Refusals, refusalsOf } from "./model/refusals";
import { Reasons } from "./Reasons";
import { There, unitsOn } from "./Tally";

const Charts = lazy(() => retried(() => import("../charts/Charts")).then((made) => ({ default: made.Charts })));

/** Between two questions about the same, as long as it is looked at. */
const AGAIN_MS = 5_000;
/** More are not explained one by one. */
const EXPLAINED = 1_000;

interface Props {
  selection: Selection;
  city: City;
  tick: number;
  close(): void;
  select(selection: Selection): void;
  refuse(refusals: Refusals | undefined): void;
}

export function Card(props: Props) {
  const { fabric } = useGiven();
  const nodes = createMemo(() => pickAll(props.selection.nodes, fabric.all("node")));
  const instances = createMemo(() => pickAll(props.selection.instances, fabric.all("instance")));
  const oneNode = () => (nodes().length === 1 && !instances().length ? nodes()[0] : undefined);
  const [tall, setTall] = createSignal(false);
  const oneInstance = () => (instances().length === 1 && !nodes().length ? instances()[0] : undefined);
  return (
    <aside class="map-card card" classList={{ tall: tall() }} aria-label="Selection">
      {/* Where there is little room it is a sheet at the foot of the map: some of it, or nearly all. */}
      <button
        type="button"
        class="map-more"
        aria-label={tall() ? "Less of it" : "More of it"}
        aria-expanded={tall()}
        onClick={() => setTall(!tall())}
      >
        <ChevronUp size={16} aria-hidden="true" />
      </button>
      <button type="button" class="map-close" aria-label="Clear the selection" onClick={() => props.close()}>
        <X size={15} aria-hidden="true" />
      </button>
      <Switch fallback={<Many {...props} nodes={nodes()} instances={instances()} />}>
        <Match when={oneNode()}>{(node) => <OneNode {...props} node={node()} />}</Match>
        <Match when={oneInstance()}>{(one) => <OneInstance {...props} instance={one()} />}</Match>
      </Switch>
    </aside>
  );
}

function pickAll<T>(ids: ReadonlySet<string>, table: ReadonlyMap<string, T>): T[] {
  return [...ids].map((id) => table.get(id)).filter((one): one is T => one !== undefined);
}

function OneNode(props: Props & { node: Node }) {
  const { fabric, nowMs } = useGiven();
  const load = () => (isSilent(props.node) ? undefined : fabric.load(props.node.id));
  const there = createMemo(() => {
    props.tick;
    return unitsOn(props.city, [props.node]);
  });
  const targets = createMemo((): Target[] => [{ kind: "node", object: props.node }]);
  return (
    <>
      <p class="map-kind">Node</p>
      <h2>
        <A href={nodeHref(props.node.name)}>{visible(props.node.name)}</A>
      </h2>
      <p>
        <State state={nodeState(props.node)} /> <span class="faint">for {span(nowMs() - nodeSinceMs(props.node))}</span>
      </p>
      <dl class="map-facts">
        <dt>CPU</dt>
        <dd>
          <Meter
            label="CPU"
            whole={props.node.cpu_milli ?? 0}
            used={load()?.cpuMilli}
            reserved={props.node.reserved_cpu_milli ?? 0}
            text={`${load() ? `${cores(load()?.cpuMilli ?? 0)} of ` : ""}${cores(props.node.cpu_milli ?? 0)}`}
          />
        </dd>
        <dt>Memory</dt>
        <dd>
          <Meter
            label="Memory"
            whole={props.node.memory_bytes ?? 0}
            used={load()?.memoryBytes}
            reserved={props.node.reserved_memory_bytes ?? 0}
            text={`${load() ? `${bytes(load()?.memoryBytes ?? 0)} of ` : ""}${bytes(props.node.memory_bytes ?? 0)}`}
          />
        </dd>
        <dt>Drivers</dt>
        <dd>{driversOf(props.node) || "none"}</dd>
        <dt>Labels</dt>
        <dd class="map-labels">
          <For each={Object.entries(props.node.labels ?? {})} fallback="–">
            {([name, value]) => (
              <span class="chip ellipsis">
                {visible(name)}={visible(String(value))}
              </span>
            )}
          </For>
        </dd>
      </dl>
      <There city={props.city} ids={there()} whose="its" select={props.select} />
      <ActionBar targets={targets()} />
    </>
  );
}

function OneInstance(props: Props & { instance: Instance }) {
  const { fabric, nowMs } = useGiven();
  const agent = () => fabric.get("agent", props.instance.workload_id);
  const job = () => fabric.get("job", props.instance.workload_id);
  const waits = () => props.instance.status === "pending";
  const explained = createAsked(
    () => (waits() ? props.instance.id : undefined),
    () => props.instance.revision,
    AGAIN_MS,
    (id, signal) =>
      request<InstanceExplanation>(
        "GET",
        `/v1/instances/${encodeURIComponent(id)}/explain?nodes=${EXPLAINED}`,
        undefined,
        signal,
      ),
  );
  const refusals = createMemo(() => {
    const found = explained.value();
    return found && refusalsOf(found);
  });
  const [pressed, setPressed] = createSignal("");
  const [pointed, setPointed] = createSignal("");
  // Of another instance nothing is marked yet; what goes from under the pointer does not say that it goes.
  createEffect(
    on([() => props.instance.id, waits], () => {
      setPressed("");
      setPointed("");
    }),
  );
  createEffect(() => {
    const found = refusals();
    const gone = (key: string) => found && !found.reasons.some((one) => one.key === key);
    if (gone(pressed())) setPressed("");
    if (gone(pointed())) setPointed("");
  });
  createEffect(() => {
    const found = refusals();
    props.refuse(found && marking(found, pointed() || pressed()));
  });
  onCleanup(() => props.refuse(undefined));
  const spec = createAsked(
    () => {
      const found = agent();
      return found && `${found.namespace}/agents/${encodeURIComponent(found.name)}`;
    },
    () => agent()?.version,
    60_000,
    (path, signal) => request<AgentFull>("GET", `/v1/namespaces/${path}`, undefined, signal),
  );
  const runs = () => {
    const found = spec.value()?.spec;
    return [found?.container?.image, ...(found?.command ?? [])].filter(Boolean).join(" ");
  };
  const exit = () => props.instance.exit ?? props.instance.previous_exit;
  const id = createMemo(() => props.instance.id);
  const charts = createMemo(() => chartsOf(id()));
  const mates = () => {
    props.tick;
    return [...(props.city.unitsOf.get(props.instance.workload_id) ?? [])];
  };
  const targets = createMemo((): Target[] => [{ kind: "instance", object: props.instance }]);
  const ofAgent = createMemo((): Target[] => {
    const found = agent();
    return found ? [{ kind: "agent", object: found }] : [];
  });
  return (
    <>
      <p class="map-kind">
        {props.instance.kind === "job" ? "Task" : "Instance"} · {visible(runtimeOf(props.instance))}
      </p>
      <h2>
        <A href={instanceHref(props.instance.id)}>{visible(props.instance.name)}</A>
      </h2>
      <p>
        <State state={instanceState(props.instance)} />{" "}
        <span class="faint">for {span(nowMs() - props.instance.since_ms)}</span>
      </p>
      <Show when={explained.value()}>
        {(found) => (
          <div class="map-why">
            <p>{visible(found().placement?.text || found().text)}</p>
          </div>
        )}
      </Show>
      <Show when={refusals()}>
        {(found) => <Reasons refusals={found()} pressed={pressed()} press={setPressed} point={setPointed} />}
      </Show>
      <dl class="map-facts">
        <dt>Of</dt>
        <dd class="ellipsis">
          <Show when={agent()} fallback={visible(job()?.name ?? "")}>
            {(found) => <A href={agentHref(found().namespace, found().name)}>{visible(found().name)}</A>}
          </Show>{" "}
          <span class="faint">version {props.instance.version}</span>
        </dd>
        <dt>On</dt>
        <dd class="ellipsis">
          <Show when={props.instance.node} fallback="no node yet">
            {(name) => <A href={nodeHref(name())}>{visible(name())}</A>}
          </Show>
        </dd>
        <Show when={runs()}>
          <dt>Runs</dt>
          <dd class="ellipsis">
            <code title={runs()}>{visible(runs())}</code>
          </dd>
        </Show>
        <Show when={props.instance.status === "running"}>
          <dt>Health</dt>
          <dd>
            {props.instance.health === "unknown" ? "no probe has told" : props.instance.health}
            <Show when={props.instance.health_message}> · {visible(props.instance.health_message ?? "")}</Show>
          </dd>
        </Show>
        <Show when={(props.instance.attempt ?? 0) > 1}>
          <dt>Attempts</dt>
          <dd>{props.instance.attempt}</dd>
        </Show>
        <Show when={exit()}>
          {(last) => (
            <>
              <dt>Last exit</dt>
              <dd>
                {visible(last().text ?? "")}{" "}
                <span class="faint">{last().ended_ms ? `${span(nowMs() - (last().ended_ms ?? 0))} ago` : ""}</span>
              </dd>
            </>
          )}
        </Show>
      </dl>
      <Show when={props.instance.node}>
        <div class="map-charts">
          <Suspense>
            <Charts charts={charts()} />
          </Suspense>
        </div>
      </Show>
      <ActionBar targets={targets()} />
      <Show when={agent()}>
        {(found) => (
          <>
            <h3>Agent {visible(found().name)}</h3>
            <p>
              <State state={agentState(found())} />
            </p>
            <Show when={found().rollout}>
              {(rollout) => (
                <section class="map-rollout" aria-label="Rollout">
                  <p>
                    v{rollout().version} {rollout().halted ? "is halted" : rollout().paused ? "is paused" : "rolls out"}
                    : {count(rollout().asked)} of {count(rollout().replicas)} asked
                    <Show when={rollout().halted}> · {visible(rollout().halted)}</Show>
                  </p>
                  <RolloutButtons agent={found()} />
                </section>
              )}
            </Show>
            <Show when={mates().length > 1}>
              <button
                type="button"
                class="button"
                onClick={() => props.select({ nodes: new Set(), instances: new Set(mates()) })}
              >
                Select all {count(mates().length)} of it
              </button>
            </Show>
            <ActionBar targets={ofAgent()} after={targets()} />
          </>
        )}
      </Show>
    </>
  );
}

function runtimeOf(instance: Instance): string {
  const within = instance.isolation === "sandbox" ? " in a sandbox" : "";
  return `${instance.driver ?? ""}${within}`;
}

/** What runs things there; what is not there is in the node's own page. */
function driversOf(node: Node): string {
  return (node.drivers ?? [])
    .filter((one) => !one.absent)
    .map((one) => visible(one.healthy ? one.name : `${one.name} (unwell${one.detail ? `: ${one.detail}` : ""})`))
    .join(", ");
}
