/** How many there are in each state. */
import { count } from "./format";
import { andEnded, rankOf, type State, type Tone } from "./states";

export interface Counted {
  tone: Tone;
  text: string;
  count: number;
}

export interface Tally {
  /** Those that have not ended: as many as there are in `states` together. */
  there: number;
  ended: number;
  /** What those came to, the worst first. */
  over: Counted[];
  /** The worst first. */
  states: Counted[];
}

/** `over`: as what one that has ended is counted apart; without it, none has. */
export function tallyOf<T>(all: Iterable<T>, stateOf: (one: T) => State, over?: (one: T) => State | undefined): Tally {
  const states = new Map<string, Counted>();
  const apart = new Map<string, Counted>();
  let there = 0;
  let ended = 0;
  for (const one of all) {
    const end = over?.(one);
    if (end) ended += 1;
    else there += 1;
    add(end ? apart : states, end ?? stateOf(one));
  }
  return { there, ended, states: sorted(states), over: sorted(apart) };
}

function add(found: Map<string, Counted>, { tone, text }: State) {
  const counted = found.get(text + tone);
  if (counted) counted.count += 1;
  else found.set(text + tone, { tone, text, count: 1 });
}

function sorted(found: ReadonlyMap<string, Counted>): Counted[] {
  return [...found.values()].sort((a, b) => rankOf(a.tone) - rankOf(b.tone) || a.text.localeCompare(b.text, "en"));
}

/** Behind how many there are: `, and 1 failed, 2 ended`, or `, and 2 that ended`; empty where none has. */
export function overWords(over: readonly Counted[]): string {
  if (over.every((one) => one.tone === "off")) return andEnded(over.reduce((sum, one) => sum + one.count, 0));
  return `, and ${over.map((one) => `${count(one.count)} ${one.text}`).join(", ")}`;
}
