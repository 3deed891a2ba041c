/** How many there are in each state. */
import { rankOf, type State, type Tone } from "./states";

export interface Counted {
  tone: Tone;
  text: string;
  count: number;
}

export interface Tally {
  /** Those that have not ended: as many as there are in `states` together. */
  there: number;
  ended: number;
  /** The worst first. */
  states: Counted[];
}

/** `over`: whether one has ended, and is counted apart; without it, none has. */
export function tallyOf<T>(all: Iterable<T>, stateOf: (one: T) => State, over?: (one: T) => boolean): Tally {
  const found = new Map<string, Counted>();
  let there = 0;
  let ended = 0;
  for (const one of all) {
    if (over?.(one)) {
      ended += 1;
      continue;
    }
    there += 1;
    const { tone, text } = stateOf(one);
    const counted = found.get(text + tone);
    if (counted) counted.count += 1;
    else found.set(text + tone, { tone, text, count: 1 });
  }
  const states = [...found.values()].sort(
    (a, b) => rankOf(a.tone) - rankOf(b.tone) || a.text.localeCompare(b.text, "en"),
  );
  return { there, ended, states };
}
