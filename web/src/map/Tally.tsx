/** How many of the instances of some nodes, or of those that are selected, are in which state. */
import { createMemo, For, Show } from "solid-js";
import type { Node } from "../api/types";
import { count } from "../words/format";
import { instancesWords } from "../words/states";
import type { City } from "./model/city";
import type { Selection } from "./model/groups";
import { STANDINGS, type Standing, toneOf } from "./model/standing";

export function unitsOn(city: City, nodes: readonly Node[]): string[] {
  return nodes.flatMap((node) => [...(city.buildings.get(node.id)?.slots.ids() ?? [])]);
}

export function Tally(props: { city: City; ids: readonly string[] }) {
  const counts = createMemo(() => {
    const found = new Map<Standing, number>();
    for (const id of props.ids) {
      const standing = props.city.units.get(id)?.standing;
      if (standing) found.set(standing, (found.get(standing) ?? 0) + 1);
    }
    return STANDINGS.filter(([standing]) => found.has(standing)).map(([standing, text]) => ({
      tone: toneOf(standing),
      text,
      many: found.get(standing) ?? 0,
    }));
  });
  return (
    <Show when={counts().length} fallback={<p class="faint">Nothing runs there.</p>}>
      <ul class="map-tally">
        <For each={counts()}>
          {(one) => (
            <li class={`tone-${one.tone}`}>
              <span class="mark" aria-hidden="true" />
              {count(one.many)} {one.text}
            </li>
          )}
        </For>
      </ul>
    </Show>
  );
}

/** What is on one node, or on some, and a way to select that instead. */
export function There(props: {
  city: City;
  ids: readonly string[];
  whose: "its" | "their";
  select(selection: Selection): void;
}) {
  return (
    <>
      <Tally city={props.city} ids={props.ids} />
      <Show when={props.ids.length}>
        <button
          type="button"
          class="button"
          onClick={() => props.select({ nodes: new Set(), instances: new Set(props.ids) })}
        >
          Select {props.whose} {instancesWords(props.ids.flatMap((id) => props.city.units.get(id)?.instance ?? []))}
        </button>
      </Show>
    </>
  );
}
