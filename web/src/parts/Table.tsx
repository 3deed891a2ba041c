/**
 * A table of any length: only the rows in sight are drawn. Columns come by rank as long as there is room for them, and on
 * a narrow page each row is two lines; the name is always there.
 */
import { createVirtualizer } from "@tanstack/solid-virtual";
import ArrowDown from "lucide-solid/icons/arrow-down";
import ArrowUp from "lucide-solid/icons/arrow-up";
import { createEffect, createMemo, createSignal, For, type JSX, onCleanup, onMount, Show } from "solid-js";
import { isGoing, singleKeys } from "../actions/keys";
import { density } from "./density";
import { fitting } from "./fitting";

export interface Column<T> {
  id: string;
  title: string;
  /** Least width, px. */
  width: number;
  /** Share of what is left over. */
  grow?: number;
  /** The lowest come first; of 0 each is always there. */
  rank: number;
  right?: boolean;
  cell(row: T): JSX.Element;
  /** What it is sorted by; without, it is not. */
  by?(row: T): number | string;
  /** That may change though the row does not. */
  live?: boolean;
}

export interface Sort {
  column: string;
  down: boolean;
}

interface Props<T> {
  label: string;
  columns: readonly Column<T>[];
  /** In order. */
  ids: readonly string[];
  row(id: string): T | undefined;
  sort: Sort;
  onSort(sort: Sort): void;
  /** On a narrow page: what stands beside the name, and below. */
  beside(row: T): JSX.Element;
  under(row: T): JSX.Element;
  empty: JSX.Element;
  /** The row that the keyboard is at; empty for none. Without it the table has no cursor. */
  cursor?: string;
  onCursor?(id: string): void;
  onOpen?(id: string): void;
  onFavourite?(id: string): void;
  /** Told which rows are drawn, whenever they are others. */
  onSeen?(ids: readonly string[]): void;
  /** Takes j, k and the like wherever the focus is, as the list of a page does. */
  keysOfPage?: boolean;
}

const NARROW = 620;
const ROW = 44;
const COMPACT_ROW = 30;
const NARROW_ROW = 54;

export function Table<T>(props: Props<T>) {
  let scroll: HTMLDivElement | undefined;
  const [width, setWidth] = createSignal(1200);
  /** The scroll bar's: the head has none, and its columns are to stand above the rows'. */
  const [bar, setBar] = createSignal(0);
  onMount(() => {
    if (!scroll) return;
    let tall = 0;
    const watch = new ResizeObserver((entries) => {
      setWidth(entries[0]?.contentRect.width ?? 0);
      setBar(scroll ? scroll.offsetWidth - scroll.clientWidth : 0);
      const before = tall;
      tall = entries[0]?.contentRect.height ?? 0;
      keepInSight(before, tall);
    });
    watch.observe(scroll);
    onCleanup(() => watch.disconnect());
  });
  const narrow = () => width() < NARROW;
  const height = () => (narrow() ? NARROW_ROW : density() === "compact" ? COMPACT_ROW : ROW);
  const shown = createMemo(() => fitting(props.columns, width()));
  const template = () =>
    shown()
      .map((column) => `minmax(${column.width}px, ${column.grow ?? 0.0001}fr)`)
      .join(" ");

  const rows = createVirtualizer({
    get count() {
      return props.ids.length;
    },
    getScrollElement: () => scroll ?? null,
    estimateSize: () => height(),
    overscan: 8,
  });
  createEffect(() => {
    height();
    rows.measure();
  });
  createEffect(() => props.onSeen?.(rows.getVirtualItems().flatMap((item) => props.ids[item.index] ?? [])));

  const at = createMemo(() => (props.cursor ? props.ids.indexOf(props.cursor) : -1));
  /** Less room than before, as when the actions for the row come below: they are not to hide the row itself. */
  const keepInSight = (before: number, now: number) => {
    const foot = (at() + 1) * height() - (scroll?.scrollTop ?? 0);
    if (at() >= 0 && foot > now && foot <= before) rows.scrollToIndex(at());
  };
  /** At the click and not at the press: what comes with the choice may move things under the pointer, and the release
   * would fall on those. Before what is clicked in the row takes effect, as that may put it in another place. */
  const choosing = (index: () => number) => ({
    capture: true,
    handleEvent: () => props.onCursor?.(props.ids[index()] ?? ""),
  });
  const move = (to: number) => {
    const index = Math.max(0, Math.min(props.ids.length - 1, to));
    const id = props.ids[index];
    if (!id) return;
    props.onCursor?.(id);
    rows.scrollToIndex(index);
  };
  const onKey = (event: KeyboardEvent) => {
    const from = event.target instanceof Element ? event.target : null;
    if (!props.onCursor || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (from?.closest("input, textarea, select, dialog, [contenteditable]") || document.querySelector("dialog[open]"))
      return;
    const letters = singleKeys() && !isGoing(event.timeStamp);
    const onTable = !!scroll?.contains(from);
    const here = onTable || from === document.body || from?.id === "main";
    if ((letters && event.key === "j") || (here && event.key === "ArrowDown")) move(at() + 1);
    else if ((letters && event.key === "k") || (here && event.key === "ArrowUp")) move(at() < 0 ? 0 : at() - 1);
    else if (onTable && event.key === "Home") move(0);
    else if (onTable && event.key === "End") move(props.ids.length - 1);
    else if (
      event.key === "Enter" &&
      props.cursor &&
      at() >= 0 &&
      (from === scroll || from === document.body || from?.id === "main")
    )
      props.onOpen?.(props.cursor);
    else if (letters && event.key === "f" && props.cursor && at() >= 0 && props.onFavourite)
      props.onFavourite(props.cursor);
    else return;
    event.preventDefault();
  };
  onMount(() => {
    const place: HTMLElement | Document | undefined = props.keysOfPage ? document : scroll;
    place?.addEventListener("keydown", onKey as EventListener);
    onCleanup(() => place?.removeEventListener("keydown", onKey as EventListener));
  });

  const pressed = (column: Column<T>) => {
    const same = props.sort.column === column.id;
    props.onSort({ column: column.id, down: same ? !props.sort.down : false });
  };
  const order = (column: Column<T>) => {
    if (props.sort.column !== column.id) return column.by ? "none" : undefined;
    return props.sort.down ? "descending" : "ascending";
  };

  return (
    <div
      class="table"
      role="table"
      aria-label={props.label}
      aria-rowcount={props.ids.length + 1}
      style={{ "--columns": template(), "--bar": `${bar()}px` }}
    >
      <div role="rowgroup" classList={{ "visually-hidden": narrow() }}>
        <div class="table-head" role="row" aria-rowindex={1}>
          <For each={narrow() ? props.columns.slice(0, 1) : shown()}>
            {(column) => (
              <div role="columnheader" aria-sort={order(column)} class="cell" classList={{ right: !!column.right }}>
                <Show when={column.by} fallback={<span class="faint">{column.title}</span>}>
                  <button type="button" onClick={() => pressed(column)}>
                    {column.title}
                    <Show when={props.sort.column === column.id}>
                      {props.sort.down ? <ArrowDown size={12} /> : <ArrowUp size={12} />}
                    </Show>
                  </button>
                </Show>
              </div>
            )}
          </For>
        </div>
      </div>
      <div class="table-scroll" role="rowgroup" ref={scroll} tabindex="0">
        <Show when={props.ids.length} fallback={<Emptiness>{props.empty}</Emptiness>}>
          <div class="table-space" role="presentation" style={{ height: `${rows.getTotalSize()}px` }}>
            <For each={rows.getVirtualItems()}>
              {(item) => {
                const row = createMemo(() => props.row(props.ids[item.index] ?? ""));
                return (
                  <div
                    class="table-row"
                    classList={{ narrow: narrow(), at: at() === item.index }}
                    role="row"
                    aria-rowindex={item.index + 2}
                    aria-current={at() === item.index ? "true" : undefined}
                    on:click={choosing(() => item.index)}
                    style={{ height: `${item.size}px`, transform: `translateY(${item.start}px)` }}
                  >
                    <Show when={row()}>
                      {(of) => (
                        <Show when={narrow()} fallback={<Cells columns={shown()} row={of()} />}>
                          <div class="cell" role="cell">
                            <div class="narrow-top">
                              <div class="cell">{props.columns[0]?.cell(of())}</div>
                              <div class="cell">{props.beside(of())}</div>
                            </div>
                            <div class="narrow-under">{props.under(of())}</div>
                          </div>
                        </Show>
                      )}
                    </Show>
                  </div>
                );
              }}
            </For>
          </div>
        </Show>
      </div>
    </div>
  );
}

function Cells<T>(props: { columns: readonly Column<T>[]; row: T }) {
  return (
    <For each={props.columns}>
      {(column) => (
        <div class="cell" classList={{ right: !!column.right }} role="cell">
          {column.cell(props.row)}
        </div>
      )}
    </For>
  );
}

function Emptiness(props: { children: JSX.Element }) {
  return (
    <div role="row">
      <div role="cell">{props.children}</div>
    </div>
  );
}
