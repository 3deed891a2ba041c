/** What is chosen, which action is about to be done, and what came of those that were. One of each for the whole page. */
import { type Accessor, createEffect, createSignal, onCleanup } from "solid-js";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { CUT_OFF, cutOff } from "../state/cut";
import type { Action } from "./action";
import type { Target } from "./target";
import { tell } from "./toasts";

export interface Begun {
  action: Action;
  targets: readonly Target[];
  /** To begin with, where something is asked for. */
  version?: number;
}

const [chosen, setChosen] = createSignal<readonly Target[]>([]);
const [begun, setBegun] = createSignal<Begun>();
/** A namespace that is to be made, or an empty one that is to be removed (namespaces/NamespaceDialog.tsx). */
export type Naming = { kind: "make"; made(name: string): void } | { kind: "remove"; name: string };

const [naming, setNaming] = createSignal<Naming>();
const [page, setPage] = createSignal<"" | "palette" | "keys">("");

export { begun, chosen, naming, page, setNaming, setPage };

/** While this part is shown, what it has chosen is what keys and the palette act upon. */
export function useChosen(targets: Accessor<readonly Target[]>): void {
  let mine: readonly Target[] = [];
  createEffect(() => {
    mine = targets();
    setChosen(mine);
  });
  onCleanup(() => setChosen((now) => (now === mine ? [] : now)));
}

/** What can be done on the page that is shown, whatever is chosen there. */
export interface Doing {
  title: string;
  /** Of the keyboard, as typed; empty for none. */
  key: string;
  run(): void;
}

const [doings, setDoings] = createSignal<readonly Doing[]>([]);

export { doings };

/** While this part is shown, it can be done by key and from the palette. */
export function useDoings(of: Accessor<readonly Doing[]>): void {
  let mine: readonly Doing[] = [];
  createEffect(() => {
    const before = mine;
    mine = of();
    setDoings((now) => [...now.filter((one) => !before.includes(one)), ...mine]);
  });
  onCleanup(() => setDoings((now) => now.filter((one) => !mine.includes(one))));
}

/** Ask before it is done. */
export function begin(action: Action, targets: readonly Target[], version?: number): void {
  setPage("");
  if (pastRevision()) {
    tell(false, "Nothing was done", IN_THE_PAST);
    return;
  }
  if (cutOff()) {
    tell(false, "Nothing was done", CUT_OFF);
    return;
  }
  setBegun(version === undefined ? { action, targets } : { action, targets, version });
}

/** No dialog any more, none begun. */
export function endAll(): void {
  setPage("");
  setBegun();
  setNaming();
}

/**
 * A dialog has closed, which its event says only later: by then a key may have brought the next one, and this one is
 * out of the document.
 */
export function closed(event: Event & { currentTarget: Element }): void {
  if (event.currentTarget.isConnected) endAll();
}
