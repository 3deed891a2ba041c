import { useNavigate } from "@solidjs/router";
import Columns3 from "lucide-solid/icons/columns-3";
import Download from "lucide-solid/icons/download";
import Search from "lucide-solid/icons/search";
import { createSignal, For, type JSX, Show } from "solid-js";
import { ActionBar, hrefOf, type Target, useChosen } from "../actions";
import { count, dateTime, plural, visible } from "../words/format";
import { useGiven } from "./context";
import { save, toCsv, toJson } from "./exported";
import type { Listing } from "./listing";
import { Menu } from "./Menu";
import { Table } from "./Table";
import { useTitle } from "./title";
import { Waiting } from "./Waiting";

interface Props<T extends object> {
  title: string;
  noun: string;
  listing: Listing<T>;
  row(id: string): T | undefined;
  target(row: T): Target;
  /** Told which rows are in sight. */
  onSeen?(ids: readonly string[]): void;
  beside(row: T): JSX.Element;
  under(row: T): JSX.Element;
  /** At the end of the head. */
  tools?: JSX.Element;
  /** How many there are, where all are shown; without it, as many as there are rows. */
  all?(): string;
  /** Where there is none at all. */
  none: JSX.Element;
}

export function ListPage<T extends object>(props: Props<T>) {
  const { fabric } = useGiven();
  const navigate = useNavigate();
  const [cursor, setCursor] = createSignal("");
  let card: HTMLElement | undefined;
  useTitle(() => props.title);
  const few = () => {
    const shown = props.listing.ids().length;
    const total = props.listing.total();
    return shown === total ? (props.all?.() ?? count(total)) : `${count(shown)} of ${count(total)}`;
  };
  const chosen = (): Target[] => {
    const row = cursor() ? props.row(cursor()) : undefined;
    return row ? [props.target(row)] : [];
  };
  useChosen(chosen);
  const open = (id: string) => {
    const row = props.row(id);
    if (row) navigate(hrefOf(props.target(row)));
  };
  const rows = () => props.listing.ids().flatMap((id) => props.row(id) ?? []);
  const file = (ending: string) =>
    `${props.title.toLowerCase()}-${dateTime(fabric.nowMs()).replace(" ", "-").replaceAll(":", "")}.${ending}`;
  const inField = (event: KeyboardEvent & { currentTarget: HTMLInputElement }) => {
    if (event.key === "Escape" && !event.currentTarget.value) event.currentTarget.blur();
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    const [first] = props.listing.ids();
    if (!first) return;
    event.preventDefault();
    setCursor(first);
    card?.querySelector<HTMLElement>(".table-scroll")?.focus();
  };
  return (
    <>
      <header class="page-head">
        <h1>
          {props.title}
          <Show when={fabric.filled()}>
            <span class="faint">{few()}</span>
          </Show>
        </h1>
        <div class="page-tools">
          <fieldset class="filters">
            <legend class="visually-hidden">Only those of a state</legend>
            <For each={props.listing.states()}>
              {(state) => (
                <button
                  type="button"
                  class={`filter tone-${state.tone}`}
                  aria-pressed={props.listing.only() === state.text}
                  onClick={() => props.listing.setOnly(props.listing.only() === state.text ? "" : state.text)}
                >
                  <span class="mark" aria-hidden="true" />
                  {state.text}
                  <span class="faint">{count(state.count)}</span>
                </button>
              )}
            </For>
          </fieldset>
          <div class="search">
            <Search size={14} aria-hidden="true" />
            <input
              class="field"
              type="search"
              aria-label={`Filter ${props.title.toLowerCase()}`}
              placeholder={`Filter: name, ${props.listing.fields[0]}:value`}
              title={`Words, or ${props.listing.fields.map((one) => `${one}:value`).join(", ")}; -${props.listing.fields[0]}:value for the contrary`}
              value={props.listing.query()}
              onInput={(event) => props.listing.setQuery(event.currentTarget.value)}
              onKeyDown={inField}
              autocomplete="off"
              spellcheck={false}
            />
          </div>
          <Menu icon={<Columns3 size={15} aria-hidden="true" />} label="Columns" key="C">
            <For each={props.listing.everyColumn.slice(1)}>
              {(column) => (
                <label class="menu-line">
                  <input
                    type="checkbox"
                    checked={!props.listing.hidden().has(column.id)}
                    onChange={() => props.listing.toggleColumn(column.id)}
                  />
                  {column.title}
                </label>
              )}
            </For>
            <p class="faint">Where there is no room for all, some stay away.</p>
          </Menu>
          <Menu icon={<Download size={15} aria-hidden="true" />} label="Export" key="E">
            <button type="button" class="menu-line" onClick={() => save(file("csv"), "text/csv", toCsv(rows()))}>
              CSV of {plural(props.listing.ids().length, props.noun)}
            </button>
            <button
              type="button"
              class="menu-line"
              onClick={() => save(file("json"), "application/json", toJson(rows()))}
            >
              JSON of {plural(props.listing.ids().length, props.noun)}
            </button>
          </Menu>
          {props.tools}
        </div>
      </header>
      <section class="card table-card" aria-label={props.title} ref={card}>
        <Table
          label={props.title}
          columns={props.listing.columns()}
          ids={props.listing.ids()}
          row={props.row}
          sort={props.listing.sort()}
          onSort={props.listing.setSort}
          beside={props.beside}
          under={props.under}
          cursor={cursor()}
          onCursor={setCursor}
          onOpen={open}
          onFavourite={(id) => {
            const row = props.row(id);
            if (row) props.listing.toggleFavourite(row);
          }}
          onSeen={(ids) => props.onSeen?.(ids)}
          keysOfPage
          empty={
            <div class="empty">
              <Show when={fabric.filled()} fallback={<Waiting />}>
                <Show when={props.listing.total() > 0} fallback={props.none}>
                  <strong>Nothing matches</strong>
                  <span>
                    {plural(props.listing.total(), props.noun)} {props.listing.total() === 1 ? "is" : "are"} hidden by
                    the filter.
                  </span>
                  <Show when={props.listing.unknown()}>{(said) => <span>{visible(said())}</span>}</Show>
                </Show>
              </Show>
            </div>
          }
        />
        <Show when={chosen().length}>
          {/* It comes where rows were: the second click of a double one was meant for the row. */}
          <div
            class="chosen-bar"
            on:click={{ capture: true, handleEvent: (event) => event.detail > 1 && event.stopPropagation() }}
          >
            <ActionBar targets={chosen()} />
          </div>
        </Show>
      </section>
    </>
  );
}
