/** To whatever has a name: type, and Enter goes there; to all of an agent by its own name. */
import Search from "lucide-solid/icons/search";
import { createMemo, createSignal, For, Show } from "solid-js";
import { useGiven } from "../parts/context";
import { visible } from "../words/format";
import { called, type Hit } from "./model/calling";
import type { Sought } from "./reacting";

const MOST = 8;

export function Finder(props: { find(found: Sought): void }) {
  const { fabric } = useGiven();
  const [text, setText] = createSignal("");
  const hits = createMemo(() => {
    // Nobody else asks for all of them each time that one changes.
    if (!text().trim()) return [];
    return called(
      text(),
      { node: fabric.all("node"), instance: fabric.all("instance"), agent: fabric.all("agent") },
      MOST,
    );
  });
  const take = (hit: Hit | undefined) => {
    if (!hit) return;
    setText("");
    props.find({ kind: hit.kind, id: hit.id });
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
      <p class="map-found" role="status">
        <Show when={text().trim() && !hits().length}>Nothing is called that</Show>
      </p>
    </form>
  );
}
