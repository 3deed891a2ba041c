/** Several things that are selected together: how they are, which they are, and what can be done with all of them. */
import { A } from "@solidjs/router";
import { createMemo, For, Show } from "solid-js";
import { ActionBar, agentHref, nodeHref, type Target } from "../actions";
import type { Instance, Node } from "../api/types";
import { useGiven } from "../parts/context";
import { State } from "../parts/State";
import { count, plural, visible } from "../words/format";
import { chosenWords, nodeState, rankOf } from "../words/states";
import type { City } from "./model/city";
import type { Selection } from "./model/groups";
import { Tally, There, unitsOn } from "./Tally";

const AGENTS = 6;
/** Nodes that are listed: from afar the map has no room to name each. */
const NAMED = 12;

interface Props {
  selection: Selection;
  nodes: readonly Node[];
  instances: readonly Instance[];
  city: City;
  /** Changes when the city is another. */
  tick: number;
  select(selection: Selection): void;
}

export function Many(props: Props) {
  const { fabric } = useGiven();
  const there = createMemo(() => {
    props.tick;
    return unitsOn(props.city, props.nodes);
  });
  const nodeTargets = createMemo(() => props.nodes.map((object): Target => ({ kind: "node", object })));
  const targets = createMemo(() => props.instances.map((object): Target => ({ kind: "instance", object })));
  const agents = createMemo(() => {
    const counts = new Map<string, number>();
    for (const one of props.instances) counts.set(one.workload_id, (counts.get(one.workload_id) ?? 0) + 1);
    return [...counts]
      .map(([id, many]) => ({ agent: fabric.get("agent", id), many }))
      .sort((one, other) => other.many - one.many);
  });
  const worst = createMemo(() =>
    [...props.nodes].sort(
      (one, other) =>
        rankOf(nodeState(one).tone) - rankOf(nodeState(other).tone) ||
        one.name.localeCompare(other.name, "en", { numeric: true }),
    ),
  );
  const agentTargets = createMemo(() =>
    agents().flatMap(({ agent }): Target[] => (agent ? [{ kind: "agent", object: agent }] : [])),
  );
  return (
    <>
      <p class="map-kind">Selection</p>
      <h2>{chosenWords(props.nodes.length, props.instances)}</h2>
      <Show when={props.nodes.length}>
        <There city={props.city} ids={there()} whose="their" select={props.select} />
        <ActionBar targets={nodeTargets()} />
        <ul class="map-agents" aria-label="Nodes">
          <For each={worst().slice(0, NAMED)}>
            {(node) => (
              <li>
                <A class="ellipsis" href={nodeHref(node.name)}>
                  {visible(node.name)}
                </A>
                <State state={nodeState(node)} />
              </li>
            )}
          </For>
          <Show when={props.nodes.length > NAMED}>
            <li class="faint">and {count(props.nodes.length - NAMED)} more</li>
          </Show>
        </ul>
      </Show>
      <Show when={props.instances.length}>
        <Tally city={props.city} ids={[...props.selection.instances]} />
        <ActionBar targets={targets()} after={nodeTargets()} />
        <h3>{plural(agents().length, "workload")}</h3>
        <ul class="map-agents">
          <For each={agents().slice(0, AGENTS)}>
            {({ agent, many }) => (
              <li>
                <Show when={agent} fallback="jobs">
                  {(found) => (
                    <A href={agentHref(found().namespace, found().name)}>
                      {visible(`${found().namespace}/${found().name}`)}
                    </A>
                  )}
                </Show>
                <span class="faint tabular">{count(many)}</span>
              </li>
            )}
          </For>
          <Show when={agents().length > AGENTS}>
            <li class="faint">and {count(agents().length - AGENTS)} more</li>
          </Show>
        </ul>
        <ActionBar targets={agentTargets()} after={[...nodeTargets(), ...targets()]} />
      </Show>
    </>
  );
}
