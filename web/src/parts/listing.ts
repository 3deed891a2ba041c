/** Filter, sort and count what a list shows. Its settings are in the address, so that a link shows the same. */
import { type Accessor, createMemo } from "solid-js";
import type { State, Tone } from "../words/states";
import { Arranger, type Shown } from "./arranging";
import { matches, parseFilter, unknownFields } from "./filter";
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
  /** Of a filter that names other fields, in words; else empty. */
  unknown(): string;
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

  const arranger = new Arranger<T>(source.state, source.text);
  let same = false;
  const arrange = (): Shown => {
    const filter = parseFilter(query(), fields);
    const everything = !filter.words.length && !filter.conditions.length;
    const pinned = favourites.all();
    const column = source.columns.find((one) => one.id === sort().column);
    const shown = arranger.arrange({
      all: source.all(),
      same,
      matches: everything ? undefined : (row, text) => matches(filter, row, text, source.fields),
      only: only(),
      by: column?.by,
      live: !!column?.live,
      down: sort().down,
      pinned: (row) => pinned.size > 0 && pinned.has(source.mark(row)),
    });
    same = true;
    return shown;
  };

  const asked = () => {
    query();
    only();
    sort();
    favourites.all();
  };
  const changing = () => {
    source.all();
    same = false;
  };
  const shown = createSeldom<Shown>(asked, changing, arrange);

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
    unknown: () => unknownFields(parseFilter(query(), fields), fields),
    favourite: (row) => favourites.all().has(source.mark(row)),
    toggleFavourite: (row) => favourites.toggle(source.mark(row)),
  };
}
