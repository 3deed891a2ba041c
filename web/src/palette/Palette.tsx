import { useNavigate } from "@solidjs/router";
import Box from "lucide-solid/icons/box";
import Boxes from "lucide-solid/icons/boxes";
import CornerDownRight from "lucide-solid/icons/corner-down-right";
import Server from "lucide-solid/icons/server";
import Zap from "lucide-solid/icons/zap";
import { createEffect, createMemo, createSignal, For, onMount, Show } from "solid-js";
import { takeAhead } from "../actions/ahead";
import { begin, chosen, closed, doings } from "../actions/desk";
import { follow } from "../actions/openings";
import type { Target } from "../actions/target";
import { useGiven } from "../parts/context";
import { visible } from "../words/format";
import { everywhere } from "./everywhere";
import { find, haystackOf, type Item } from "./find";

/** Everything by its name. */
export function Palette() {
  const { fabric, logOut } = useGiven();
  const navigate = useNavigate();
  let dialog: HTMLDialogElement | undefined;
  let list: HTMLDivElement | undefined;
  const before = takeAhead();
  const [text, setText] = createSignal(before.text);
  const [at, setAt] = createSignal(0);
  onMount(() => {
    dialog?.showModal();
    queueMicrotask(() => {
      for (const key of before.others) act(key);
    });
  });

  // As of when it was opened: names do not move below the fingers.
  const all = haystackOf([
    ...[...fabric.all("agent").values()].map((object): Target => ({ kind: "agent", object })),
    ...[...fabric.all("node").values()].map((object): Target => ({ kind: "node", object })),
    ...[...fabric.all("instance").values()].map((object): Target => ({ kind: "instance", object })),
  ]);
  const upon = chosen();
  const here = [...doings(), ...everywhere({ fabric, logOut })];
  const found = createMemo(() => find(text(), upon, all, here));
  createEffect(() => {
    found();
    setAt(0);
  });
  createEffect(() => list?.children[at()]?.scrollIntoView({ block: "nearest" }));

  const choose = (item: Item | undefined) => {
    if (!item) return;
    dialog?.close();
    if (item.kind === "doing") item.doing.run();
    else if (item.kind === "action") begin(item.action, item.targets);
    else if (item.kind === "opening") follow(item.opening, item.targets, navigate);
    else navigate(item.href);
  };
  const act = (key: string): boolean => {
    const last = found().length - 1;
    if (key === "ArrowDown") setAt((now) => (now >= last ? 0 : now + 1));
    else if (key === "ArrowUp") setAt((now) => (now <= 0 ? Math.max(0, last) : now - 1));
    else if (key === "Enter") choose(found()[at()]);
    else return false;
    return true;
  };
  const pressed = (event: KeyboardEvent) => {
    if (act(event.key)) event.preventDefault();
  };
  const optionId = (index: number) => `palette-${index}`;

  return (
    <dialog ref={dialog} class="dialog palette" aria-label="Command palette" onClose={closed}>
      <input
        class="palette-field"
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-autocomplete="list"
        aria-activedescendant={found().length ? optionId(at()) : undefined}
        aria-label="Go to, or do"
        placeholder="Go to an agent, node, instance or page; or: scale web"
        autocomplete="off"
        spellcheck={false}
        autofocus
        value={text()}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={pressed}
      />
      <div class="palette-list" id="palette-list" role="listbox" aria-label="Found" ref={list}>
        <For each={found()}>
          {(item, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: keys are the field's, as of a combobox
            <div
              id={optionId(index())}
              role="option"
              aria-selected={index() === at()}
              classList={{ grave: item.kind === "action" && !!item.action.grave }}
              onPointerMove={() => setAt(index())}
              onClick={() => choose(item)}
            >
              <ItemIcon item={item} />
              <span class="ellipsis">{visible(item.title)}</span>
              <span class="faint palette-more">{visible(item.kind === "page" ? "page" : item.more)}</span>
              <Show when={item.kind !== "object" && item.key}>{(key) => <kbd>{keyText(key())}</kbd>}</Show>
            </div>
          )}
        </For>
      </div>
      <Show when={!found().length}>
        <p class="palette-none soft">Nothing is called that.</p>
      </Show>
    </dialog>
  );
}

function keyText(key: string): string {
  return /^[A-Z]$/.test(key) ? `⇧${key}` : key.toUpperCase();
}

function ItemIcon(props: { item: Item }) {
  const icon = () => {
    const { item } = props;
    if (item.kind === "page" || item.kind === "opening") return <CornerDownRight size={14} />;
    if (item.kind === "action" || item.kind === "doing") return <Zap size={14} />;
    return item.target.kind === "agent" ? (
      <Boxes size={14} />
    ) : item.target.kind === "node" ? (
      <Server size={14} />
    ) : (
      <Box size={14} />
    );
  };
  return (
    <span class="palette-icon" aria-hidden="true">
      {icon()}
    </span>
  );
}
