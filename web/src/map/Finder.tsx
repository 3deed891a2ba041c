/** To whatever has a name: type, and Enter goes there; to all of an agent by its own name. */
import Search from "lucide-solid/icons/search";
import { createMemo, createSignal, For } from "solid-js";
import { nameOf } from "../actions";
import { useGiven } from "../parts/context";
import { visible } from "../words/format";
import type { Sought } from "./reacting";

const MOST = 8;

interface Hit {
  found: Sought;
  name: string;
  kind: string;
}

export function Finder(props: { find(found: Sought): void }) {
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
    for (const [id, agent] of fabric.all("agent")) {
      const name = nameOf({ kind: "agent", object: agent });
      const at = agent.name.toLowerCase().indexOf(asked);
      const exact = agent.name.length === asked.length || name.toLowerCase() === asked;
      if (at < 0 && !exact) continue;
      // All of an agent before one of its replicas, whose names begin with its own.
      hits.push({ found: { kind: "agent", id }, name, kind: "agent", rank: (exact ? 0 : at ? 2 : 1) + 0.25 });
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
        aria-label="Find a node, agent or instance"
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
