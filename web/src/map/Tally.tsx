/** How many of the instances of some nodes, or of those that are selected, are in which state. */
import { createMemo, For, Show } from "solid-js";
import type { Node } from "../api/types";
import { count } from "../words/format";
import type { City } from "./model/city";
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
