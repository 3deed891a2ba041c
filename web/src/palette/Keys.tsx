import { useLocation } from "@solidjs/router";
import { For, onMount, Show } from "solid-js";
import { closed, doings } from "../actions/desk";
import { PLACES, setSingleKeys, shownKey, singleKeys } from "../actions/keys";
import { OPENINGS } from "../actions/openings";
import { ACTIONS } from "../actions/registry";
import type { TargetKind } from "../actions/target";
import { ON_MAP, ON_PAGE, POINTER } from "../map/keys";

const OF: readonly { kind: TargetKind; title: string }[] = [
  { kind: "agent", title: "With an agent" },
  { kind: "instance", title: "With an instance" },
  { kind: "node", title: "With a node" },
];

const ALWAYS: readonly [string, string][] = [
  ["Ctrl+K", "Command palette"],
  ["/", "Filter or search"],
  [shownKey("T"), "Into the past, and back to now"],
  [", / .", "In the past: event before, next event"],
  ["?", "This list"],
  ["Esc", "Close"],
];

const LISTS: readonly [string, string][] = [
  ["J / ↓", "Next row"],
  ["K / ↑", "Row before"],
  ["Home / End", "First, last row"],
  ["Enter", "Open"],
  ["F", "Favourite"],
];

const MAP: readonly (readonly [string, string])[] = [
  ...[...ON_MAP, ...ON_PAGE].map((one) => [one.shown, one.title] as const),
  ...POINTER,
];

/** All keys there are; those of the page that one is on first. */
export function Keys() {
  let dialog: HTMLDialogElement | undefined;
  onMount(() => dialog?.showModal());
  const here = () => doings().flatMap((one) => (one.key ? [[shownKey(one.key), one.title] as const] : []));
  const location = useLocation();
  const onMap = location.pathname === "/map";
  return (
    <dialog ref={dialog} class="dialog keys" aria-labelledby="keys-title" onClose={closed}>
      {/* Not a control at the end of it: a long list would open at its end. */}
      <h2 id="keys-title" tabindex="-1" autofocus>
        Keys
      </h2>
      <div class="keys-groups">
        <Show when={onMap}>
          <Group title="On the map" keys={MAP} />
        </Show>
        <Group title="Everywhere" keys={ALWAYS} />
        <Group title="Go to" keys={PLACES.map((one) => [shownKey(`g ${one.key}`), one.title] as const)} />
        <Show when={here().length}>
          <Group title="On this page" keys={here()} />
        </Show>
        <Show when={!onMap}>
          <Group title="On the map" keys={MAP} />
        </Show>
        <Group title="In a list" keys={LISTS} />
        <For each={OF}>
          {(of) => (
            <Group
              title={of.title}
              keys={[...ACTIONS, ...OPENINGS]
                .filter((one) => one.kind === of.kind)
                .map((one) => [shownKey(one.key), one.title] as const)}
            />
          )}
        </For>
      </div>
      <div class="dialog-foot">
        <label class="switch">
          <input
            type="checkbox"
            checked={singleKeys()}
            onChange={(event) => setSingleKeys(event.currentTarget.checked)}
          />
          Keys of one letter
        </label>
        <button type="button" class="button" onClick={() => dialog?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}

function Group(props: { title: string; keys: readonly (readonly [string, string])[] }) {
  return (
    <section>
      <h3>{props.title}</h3>
      <dl class="keys-list">
        <For each={props.keys}>
          {([key, title]) => (
            <div>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{title}</dd>
            </div>
          )}
        </For>
      </dl>
    </section>
  );
}
