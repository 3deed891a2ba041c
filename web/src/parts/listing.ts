/** Filter, sort and count what a list shows. Its settings are in the address, so that a link shows the same. */
import { type Accessor, createMemo } from "solid-js";
import { rankOf, type State, type Tone } from "../words/states";
import { matches, parseFilter } from "./filter";
import { kept } from "./kept";
import { createSeldom } from "./seldom";
import type { Column, Sort } from "./Table";
import { createTyped } from "./typed";

export interface Listing<T> {
  ids: Accessor<readonly string[]>;
  /** Of all, before the filters. */
  total: Accessor<number>;
  /** How many there are of each state, the worst first. */
  states: Accessor<readonly { text: string; tone: Tone; count: number }[]>;
  query: Accessor<string>;
  setQuery(text: string): void;
  only: Accessor<string>;
  setOnly(state: string): void;
  sort: Accessor<Sort>;
  setSort(sort: Sort): void;
  /** Those that are to be shown. */
  columns: Accessor<readonly Column<T>[]>;
  everyColumn: readonly Column<T>[];
  hidden: Accessor<ReadonlySet<string>>;
  toggleColumn(id: string): void;
  /** What the filter takes as `name:value`. */
  fields: readonly string[];
  favourite(row: T): boolean;
  toggleFavourite(row: T): void;
}

interface Source<T> {
  /** Under which this browser keeps what was chosen. */
  kind: string;
  /** By which it is a favourite: what stays the same as long as it is the same to a person. */
  mark(row: T): string;
  fields: Readonly<Record<string, (row: T) => string>>;
  all: Accessor<ReadonlyMap<string, T>>;
  columns: readonly Column<T>[];
  state(row: T): State;
  /** What the filter looks in. */
  text(row: T): string;
  first: Sort;
}

interface Shown {
  ids: readonly string[];
  total: number;
  states: { text: string; tone: Tone; count: number }[];
}

export function createListing<T>(source: Source<T>): Listing<T> {
  const [query, setQuery] = createTyped("q");
  const [only, setOnly] = createTyped("state");
  const [sorted, setSorted] = createTyped("sort");
  const favourites = kept(`favourites.${source.kind}`);
  const hidden = kept(`hidden-columns.${source.kind}`);
  const fields = Object.keys(source.fields);
  const sort = createMemo<Sort>(() => {
    const asked = sorted();
    const column = asked.replace(/^-/, "");
    if (!source.columns.some((one) => one.id === column && one.by)) return source.first;
    return { column, down: asked.startsWith("-") };
  });

  const arrange = (): Shown => {
    const filter = parseFilter(query(), fields);
    const pinned = favourites.all();
    const wanted = only();
    const counts = new Map<string, { text: string; tone: Tone; count: number }>();
    const rows: [string, T][] = [];
    const all = source.all();
    for (const [id, row] of all) {
      if (!matches(filter, row, source.text, source.fields)) continue;
      const state = source.state(row);
      const key = `${state.text} ${state.tone}`;
      const counted = counts.get(key);
      if (counted) counted.count += 1;
      else counts.set(key, { text: state.text, tone: state.tone, count: 1 });
      if (!wanted || wanted === state.text) rows.push([id, row]);
    }
    const by = source.columns.find((one) => one.id === sort().column)?.by;
    if (by) {
      const down = sort().down ? -1 : 1;
      const keyed = rows.map(([id, row]) => ({ id, key: by(row), pin: pinned.has(source.mark(row)) ? 0 : 1 }));
      keyed.sort((a, b) => a.pin - b.pin || down * order(a.key, b.key) || order(a.id, b.id));
      return { ids: keyed.map((one) => one.id), total: all.size, states: ranked(counts) };
    }
    return { ids: rows.map(([id]) => id), total: all.size, states: ranked(counts) };
  };

  const asked = () => {
    query();
    only();
    sort();
    favourites.all();
  };
  const shown = createSeldom<Shown>(asked, () => void source.all(), arrange);

  return {
    ids: () => shown().ids,
    total: () => shown().total,
    states: () => shown().states,
    query,
    setQuery,
    only,
    setOnly,
    sort,
    setSort: (next) => setSorted(`${next.down ? "-" : ""}${next.column}`),
    columns: createMemo(() => source.columns.filter((one, index) => index === 0 || !hidden.all().has(one.id))),
    everyColumn: source.columns,
    hidden: hidden.all,
    toggleColumn: hidden.toggle,
    fields,
    favourite: (row) => favourites.all().has(source.mark(row)),
    toggleFavourite: (row) => favourites.toggle(source.mark(row)),
  };
}

function ranked(counts: Map<string, { text: string; tone: Tone; count: number }>) {
  return [...counts.values()].sort((a, b) => rankOf(a.tone) - rankOf(b.tone) || order(a.text, b.text));
}

const NAMES = new Intl.Collator("en", { numeric: true });

function order(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return NAMES.compare(String(a), String(b));
}
