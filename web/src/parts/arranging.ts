/**
 * Which rows a list shows, in which order, and how many there are of each state. Pure. A list of a hundred thousand is
 * gone through with each letter of a filter and whenever something changes: what is worked out of a row is kept as long
 * as it is the same row, and what was sorted before is where the next sort begins, which then costs little.
 */
import { rankOf, type State, type Tone } from "../words/states";

export interface Shown {
  ids: readonly string[];
  total: number;
  states: { text: string; tone: Tone; count: number }[];
}

export type Sorting<T> = (row: T) => number | string;

export interface Wanted<T> {
  all: ReadonlyMap<string, T>;
  /** Not one of them is another since the last time. */
  same?: boolean;
  /** `text`: of the row, in small letters; left out: all do. */
  matches?: ((row: T, text: () => string) => boolean) | undefined;
  /** Only those of this state; empty: all. */
  only: string;
  /** What it is sorted by; without, it is as it comes. */
  by: Sorting<T> | undefined;
  /** What it is sorted by may change though the row does not. */
  live?: boolean;
  down: boolean;
  pinned(row: T): boolean;
}

interface Entry<T> {
  readonly id: string;
  row: T;
  state: State;
  text: string | undefined;
  key: number | string;
  keyBy: Sorting<T> | undefined;
  pin: number;
}

export class Arranger<T> {
  readonly #state: (row: T) => State;
  readonly #text: (row: T) => string;
  readonly #entries = new Map<string, Entry<T>>();
  /** All of them; sorted as far as they were the last time. */
  #order: Entry<T>[] = [];
  /** Of the last sort: how often two were compared. */
  compared = 0;

  /** Both depend on the row alone, which is never changed in place. */
  constructor(state: (row: T) => State, text: (row: T) => string) {
    this.#state = state;
    this.#text = text;
  }

  arrange(wanted: Wanted<T>): Shown {
    if (!wanted.same) this.#renew(wanted.all);
    const counts = new Map<string, { text: string; tone: Tone; count: number }>();
    const found: Entry<T>[] = [];
    const { by, matches, only } = wanted;
    for (const entry of this.#order) {
      if (matches && !matches(entry.row, () => this.#textOf(entry))) continue;
      const { text, tone } = entry.state;
      const name = text + tone;
      const counted = counts.get(name);
      if (counted) counted.count += 1;
      else counts.set(name, { text, tone, count: 1 });
      if (only && only !== text) continue;
      if (by && (entry.keyBy !== by || wanted.live)) {
        const key = by(entry.row);
        entry.key = typeof key === "number" ? key : sortable(key);
        entry.keyBy = by;
      }
      entry.pin = wanted.pinned(entry.row) ? 0 : 1;
      found.push(entry);
    }
    if (by) this.#sort(found, wanted.down ? -1 : 1);
    return { ids: found.map((one) => one.id), total: this.#order.length, states: ranked(counts) };
  }

  #textOf(entry: Entry<T>): string {
    entry.text ??= this.#text(entry.row).toLowerCase();
    return entry.text;
  }

  #sort(found: Entry<T>[], down: number): void {
    let compared = 0;
    found.sort((a, b) => {
      compared += 1;
      return a.pin - b.pin || down * order(a.key, b.key) || order(a.id, b.id);
    });
    this.compared = compared;
    // Of a part, the rest stays where it was.
    if (found.length === this.#order.length) this.#order = [...found];
  }

  /** Those that are gone leave, and those that are new stand at the end. */
  #renew(all: ReadonlyMap<string, T>): void {
    let gone = this.#order.length;
    for (const [id, row] of all) {
      const known = this.#entries.get(id);
      if (known) gone -= 1;
      if (known?.row === row) continue;
      const state = this.#state(row);
      if (known) Object.assign(known, { row, state, text: undefined, keyBy: undefined });
      else {
        const made: Entry<T> = { id, row, state, text: undefined, key: 0, keyBy: undefined, pin: 1 };
        this.#entries.set(id, made);
        this.#order.push(made);
      }
    }
    if (!gone) return;
    this.#order = this.#order.filter((one) => all.has(one.id) || !this.#entries.delete(one.id));
  }
}

function order(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return a < b ? -1 : a > b ? 1 : 0;
}

const LONGEST = 40;

/** As people count: 9 before 10, and capitals beside small letters. */
export function sortable(text: string): string {
  return text.toLowerCase().replace(/[0-9]+/g, (digits) => {
    const number = digits.replace(/^0+(?=[0-9])/, "");
    // How long a number is comes first; every such letter is before those of words.
    return String.fromCharCode(48 + Math.min(number.length, LONGEST)) + number;
  });
}

function ranked(counts: Map<string, { text: string; tone: Tone; count: number }>) {
  return [...counts.values()].sort((a, b) => rankOf(a.tone) - rankOf(b.tone) || order(a.text, b.text));
}
