import { useNavigate } from "@solidjs/router";
import Box from "lucide-solid/icons/box";
import Boxes from "lucide-solid/icons/boxes";
import CornerDownRight from "lucide-solid/icons/corner-down-right";
import Server from "lucide-solid/icons/server";
import Zap from "lucide-solid/icons/zap";
import { createEffect, createMemo, createSignal, For, onMount, Show } from "solid-js";
import { takeAhead } from "../actions/ahead";
import { begin, chosen, closed, doings } from "../actions/desk";
import { shownKey } from "../actions/keys";
import { follow } from "../actions/openings";
import type { Target } from "../actions/target";
import { useGiven } from "../parts/context";
import { kept } from "../parts/kept";
import { focusMain } from "../parts/main";
import { visible } from "../words/format";
import { everywhere } from "./everywhere";
import { find, findFor, type Item } from "./find";
import { haystackOf } from "./match";
import { A_KIND, type Verb, whyToNone } from "./verbs";

/** As lists keep them. */
function isFavourite({ kind, object }: Target): boolean {
  const mark = kind === "instance" ? `${object.workload_id}-${object.slot}` : object.id;
  return kept(`favourites.${kind}`).all().has(mark);
}

/** Everything by its name. */
export function Palette() {
  const { fabric, logOut } = useGiven();
  const navigate = useNavigate();
  let dialog: HTMLDialogElement | undefined;
  let list: HTMLDivElement | undefined;
  let field: HTMLInputElement | undefined;
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
  /** What is to be done; to what is asked next. */
  const [verb, setVerb] = createSignal<Verb>();
  const found = createMemo(() => {
    const now = verb();
    return now ? findFor(now, text(), all, upon, isFavourite) : find(text(), upon, all, here);
  });
  const ask = (next: Verb | undefined) => {
    setVerb(next);
    setText("");
    field?.focus();
  };
  const none = () => {
    const now = verb();
    if (!now) return "Nothing is called that.";
    if (!text().trim()) return `${now.of.title} is for nothing now: ${visible(whyToNone(now, all))}.`;
    return `${now.of.title} is for nothing that is called that.`;
  };
  createEffect(() => {
    found();
    setAt(0);
  });
  createEffect(() => list?.children[at()]?.scrollIntoView({ block: "nearest" }));

  const choose = (item: Item | undefined) => {
    if (!item) return;
    if (item.kind === "verb") return ask(item.verb);
    dialog?.close();
    if (item.kind === "doing") item.doing.run();
    else if (item.kind === "action") begin(item.action, item.targets);
    else {
      if (item.kind === "opening") follow(item.opening, item.targets, navigate);
      else navigate(item.href);
      // A dialog that closes gives it back to what led to it.
      focusMain();
    }
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
    if (event.key === "Backspace" && verb() && !text()) {
      event.preventDefault();
      ask(undefined);
    } else if (act(event.key)) event.preventDefault();
  };
  const optionId = (index: number) => `palette-${index}`;

  return (
    <dialog ref={dialog} class="dialog palette" aria-label="Command palette" onClose={closed}>
      <Show when={verb()}>
        {(now) => (
          <p class="palette-verb">
            <strong>{now().of.title}</strong>
            <span class="soft">which {now().of.kind}? Backspace goes back.</span>
          </p>
        )}
      </Show>
      <input
        ref={field}
        class="palette-field"
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-autocomplete="list"
        aria-activedescendant={found().length ? optionId(at()) : undefined}
        aria-label={verb() ? `${verb()?.of.title} ${A_KIND[verb()?.of.kind ?? "agent"]}` : "Go to, or do"}
        placeholder={
          verb() ? `Name of ${A_KIND[verb()?.of.kind ?? "agent"]}` : "Go to a page or object; or do: scale web"
        }
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
              classList={{ grave: isGrave(item) }}
              onPointerMove={() => setAt(index())}
              onClick={() => choose(item)}
            >
              <ItemIcon item={item} />
              <span class="ellipsis">{visible(item.title)}</span>
              <span class="faint palette-more">{visible(item.kind === "page" ? "page" : item.more)}</span>
              <Show when={item.kind !== "object" && item.key}>{(key) => <kbd>{shownKey(key())}</kbd>}</Show>
            </div>
          )}
        </For>
      </div>
      <Show when={!found().length}>
        <p class="palette-none soft" role="status">
          {none()}
        </p>
      </Show>
    </dialog>
  );
}

function isGrave(item: Item): boolean {
  if (item.kind === "action") return !!item.action.grave;
  return item.kind === "verb" && item.verb.kind === "action" && !!item.verb.of.grave;
}

function ItemIcon(props: { item: Item }) {
  const icon = () => {
    const { item } = props;
    if (item.kind === "page" || item.kind === "opening") return <CornerDownRight size={14} />;
    if (item.kind === "action" || item.kind === "doing" || item.kind === "verb") return <Zap size={14} />;
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
