import { createMemo, For, Show } from "solid-js";
import { instanceHref, type Target } from "../../actions";
import { getStatus, request } from "../../api/client";
import type { InstanceExplanation, Node } from "../../api/types";
import { Charts, type Drawn } from "../../charts/Charts";
import { coresUsed } from "../../charts/series";
import { BigMeter } from "../../parts/BigMeter";
import { useGiven } from "../../parts/context";
import { useNames } from "../../parts/names";
import { useTitle } from "../../parts/title";
import { bytes, cores, count, dateTime, span, visible } from "../../words/format";
import { isSilent, nodeSinceMs, nodeState } from "../../words/states";
import { createAsked } from "../asked";
import { deployedHere, lastDeath, whoDied } from "./happened";
import { drainOf, driverSaid, instancesSaid, nodeWhy, placementSaid } from "./nodeWhy";
import { EventsAbout, Figure, Gone, Head, InstanceTable, LastDeath } from "./parts";

export function NodeDetail() {
  const { fabric } = useGiven();
  const params = useNames<{ node: string }>();
  const id = createMemo(() => {
    for (const one of fabric.all("node").values()) if (one.name === params.node) return one.id;
    return params.node;
  });
  useTitle(() => visible(params.node));
  return (
    <Show
      when={fabric.get("node", id())}
      fallback={<Gone what={`Node ${visible(params.node)}`} href="/nodes" list="All nodes" />}
    >
      {(found) => <Body node={found()} />}
    </Show>
  );
}

function Body(props: { node: Node }) {
  const { fabric, nowMs } = useGiven();
  const load = () => (isSilent(props.node) ? undefined : fabric.load(props.node.id));
  const instances = createMemo(() =>
    [...fabric.all("instance").values()].filter((one) => one.node_id === props.node.id),
  );
  const charts = createMemo(
    (): Drawn[] => {
      const labels = { node: props.node.name };
      const drawn = (title: string, metric: string, form: (value: number) => string, ceiling = 0): Drawn => ({
        title,
        metric: `omnitide_node_${metric}`,
        labels,
        ofOneNode: true,
        form,
        ceiling,
      });
      return [
        drawn("CPU, cores", "cpu_used_seconds_total", coresUsed, props.node.cpu_milli / 1000),
        drawn("Memory", "memory_used_bytes", bytes, props.node.memory_bytes),
        drawn("Received a second", "network_receive_bytes_total", bytes),
        drawn("Written to disk a second", "disk_written_bytes_total", bytes),
      ];
    },
    undefined,
    { equals: (a, b) => JSON.stringify(a) === JSON.stringify(b) },
  );
  const death = createMemo(() => lastDeath(instances()));
  const died = createAsked(
    () => death()?.instance.id,
    () => death()?.exit.ended_ms,
    60_000,
    (one, signal) =>
      request<InstanceExplanation>("GET", `/v1/instances/${encodeURIComponent(one)}/explain`, undefined, signal),
  );
  const gone = () => isSilent(props.node);
  const there = () => instancesSaid(instances());
  const unused = () => (gone() ? "use not known: nothing is heard of it" : undefined);
  // Whether its drain comes to an end is what Nexus alone works out: it is asked while there is one.
  const concern = createAsked(
    () => (props.node.scheduling === "draining" ? props.node.name : undefined),
    () => [props.node.revision, props.node.instances],
    10_000,
    async (_, signal) => drainOf(props.node, (await getStatus(signal)).concerns) ?? null,
  );
  const why = () => nodeWhy(props.node, instances(), nowMs(), concern.value() ?? undefined);
  const target = (): Target => ({ kind: "node", object: props.node });
  const platform = () => Object.entries(props.node.platform ?? {}).filter(([, value]) => value);
  return (
    <>
      <Head
        above={[{ text: "Nodes", href: "/nodes" }]}
        title={props.node.name}
        state={nodeState(props.node)}
        targets={[target()]}
      />
      <div class="page-body">
        <div class="detail">
          <section class="card" aria-label="Figures">
            <dl class="figures">
              <Figure title="Since">{span(nowMs() - nodeSinceMs(props.node))}</Figure>
              <Figure title="Instances on it">
                {count(there().there)} <small>{there().more}</small>
              </Figure>
              <Figure title="CPU used">
                {load() ? cores(load()?.cpuMilli ?? 0) : "–"} <small>of {cores(props.node.cpu_milli)}</small>
              </Figure>
              <Figure title="Memory used">
                {load() ? bytes(load()?.memoryBytes ?? 0) : "–"} <small>of {bytes(props.node.memory_bytes)}</small>
              </Figure>
              <Figure title="Disk">{props.node.disk_bytes ? bytes(props.node.disk_bytes) : "–"}</Figure>
              <Figure title="Placement">{placementSaid(props.node)}</Figure>
            </dl>
          </section>
          <div class="detail-column main-part">
            <section class="card block" aria-labelledby="why-title">
              <h2 id="why-title">Why it is as it is</h2>
              <p class="said">{visible(why().join(" "))}</p>
            </section>
            <Charts charts={charts()} marks={deployedHere(instances())} />
            <InstanceTable label="Instances here" instances={instances()} withNode={false} />
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
            <section class="card block" aria-labelledby="room-title">
              <h2 id="room-title">
                Room <AsOf node={props.node} />
              </h2>
              <BigMeter
                label="CPU, cores"
                whole={props.node.cpu_milli}
                used={load()?.cpuMilli}
                unknown={unused()}
                reserved={props.node.reserved_cpu_milli}
                form={cores}
              />
              <BigMeter
                label="Memory"
                whole={props.node.memory_bytes}
                used={load()?.memoryBytes}
                unknown={unused()}
                reserved={props.node.reserved_memory_bytes}
                form={bytes}
              />
              <p class="soft">
                {count(props.node.ports_used)} of {count(props.node.port_last - props.node.port_first + 1)} ports used
              </p>
            </section>
            <section class="card block" aria-labelledby="drivers-title">
              <h2 id="drivers-title">
                Drivers <AsOf node={props.node} />
              </h2>
              <ul class="list">
                <For each={props.node.drivers}>
                  {(driver) => {
                    const said = () => driverSaid(props.node, driver, nowMs());
                    return (
                      <li class={`tone-${said().tone}`}>
                        <span class="mark" aria-hidden="true" />
                        <span class="list-words">
                          <strong>{visible(driver.name)}</strong> <span class="soft">{visible(said().text)}</span>
                          <Show when={said().more}>
                            <span class="faint"> {visible(said().more)}</span>
                          </Show>
                        </span>
                      </li>
                    );
                  }}
                </For>
              </ul>
            </section>
            <section class="card block" aria-labelledby="facts-title">
              <h2 id="facts-title">Facts</h2>
              <dl class="facts">
                <dt>Id</dt>
                <dd class="mono">{props.node.id}</dd>
                <Show when={props.node.session_address || props.node.address}>
                  <dt>Address</dt>
                  <dd class="mono">{props.node.session_address || props.node.address}</dd>
                </Show>
                <dt>Joined</dt>
                <dd>{dateTime(props.node.joined_ms)}</dd>
                <Show when={props.node.clock_ahead_ms}>
                  {(ahead) => (
                    <>
                      <dt>Clock</dt>
                      <dd>
                        {span(Math.abs(ahead()))} {ahead() > 0 ? "ahead of" : "behind"} Nexus's, by which times are
                        shown
                      </dd>
                    </>
                  )}
                </Show>
                <Show when={props.node.software}>
                  <dt>Software</dt>
                  <dd>{visible(props.node.software ?? "")}</dd>
                </Show>
                <For each={platform()}>
                  {([name, value]) => (
                    <>
                      <dt>{visible(name.replaceAll("_", " "))}</dt>
                      <dd>{visible(value)}</dd>
                    </>
                  )}
                </For>
                <Show when={Object.keys(props.node.labels ?? {}).length}>
                  <dt>Labels</dt>
                  <dd>
                    <span class="chips wrap">
                      <For each={Object.entries(props.node.labels ?? {})}>
                        {([name, value]) => <span class="chip">{visible(`${name}=${value}`)}</span>}
                      </For>
                    </span>
                  </dd>
                </Show>
              </dl>
            </section>
            <EventsAbout subject={`node/${props.node.name}`} when={() => [props.node.revision, props.node.instances]} />
          </div>
        </div>
      </div>
    </>
  );
}

/** Since when nothing more is known; nothing of a node that is heard from. */
function AsOf(props: { node: Node }) {
  return (
    <Show when={isSilent(props.node)}>
      <small class="soft">as of {dateTime(nodeSinceMs(props.node))}</small>
    </Show>
  );
}
