/** To whatever has a name: type, and Enter goes there. */
import Search from "lucide-solid/icons/search";
import { createMemo, createSignal, For } from "solid-js";
import { useGiven } from "../parts/context";
import { visible } from "../words/format";
import type { Found } from "./model/pick";

const MOST = 8;

interface Hit {
  found: Found;
  name: string;
  kind: string;
}

export function Finder(props: { find(found: Found): void }) {
  const { fabric } = useGiven();
  const [text, setText] = createSignal("");
  const hits = createMemo((): Hit[] => {
    const asked = text().trim().toLowerCase();
    if (!asked) return [];
    const hits: (Hit & { rank: number })[] = [];
    for (const kind of ["node", "instance"] as const) {
      for (const [id, one] of fabric.all(kind)) {
        const at = one.name.toLowerCase().indexOf(asked);
        if (at < 0) continue;
        const rank = (one.name.length === asked.length ? 0 : at ? 2 : 1) + (kind === "node" ? 0 : 0.5);
        hits.push({ found: { kind, id }, name: one.name, kind, rank });
      }
    }
    return hits
      .sort((one, other) => one.rank - other.rank || one.name.localeCompare(other.name, "en", { numeric: true }))
      .slice(0, MOST);
  });
  const take = (hit: Hit | undefined) => {
    if (!hit) return;
    setText("");
    props.find(hit.found);
  };
  return (
    <form
      class="search map-find"
      onSubmit={(event) => {
        event.preventDefault();
        take(hits().find((hit) => hit.name === text().trim()) ?? hits()[0]);
      }}
    >
      <Search size={14} aria-hidden="true" />
      <input
        class="field"
        type="search"
        placeholder="Find by name"
        aria-label="Find a node or instance"
        list="map-hits"
        value={text()}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <datalist id="map-hits">
        <For each={hits()}>{(hit) => <option value={hit.name}>{`${hit.kind} ${visible(hit.name)}`}</option>}</For>
      </datalist>
    </form>
  );
}
