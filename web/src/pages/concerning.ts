/**
 * What wants an eye, so that a line stays the line that it is, and where it is: somebody may be reading it, or about to
 * press what is in it. Pure.
 */
import type { FabricStatus } from "../api/types";

export type Concern = FabricStatus["concerns"][number];

/** As many as Nexus tells. */
export const MOST_CONCERNS = 20;

/** It is about all of the fabric, and so the verdict on it: Nexus tells it first, whatever else there is. */
export function isGrave(concern: Concern): boolean {
  return concern.subject === "fabric";
}

/** A grave one as the verdict: what is so, and what follows from it. */
export function verdictOf({ text }: Concern): { text: string; more: string } {
  const [so = "", ...follows] = text.split(": ");
  const more = follows.join(": ");
  return { text: sentence(so), more: more && `${sentence(more)}.` };
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export interface Place {
  concern: Concern;
  /** It wants no eye any more; its line stays until nobody reads. */
  over: boolean;
}

export interface Placing {
  /** By its key, from above downwards. */
  places: ReadonlyMap<string, Place>;
  /** For which there is no line yet: they would push away what is below. */
  waiting: readonly Concern[];
}

/** `held`: the places that are to stay; left out: in the order in which Nexus tells them. */
export function placed(now: readonly Concern[], held?: Placing["places"]): Placing {
  const places = new Map<string, Place>();
  const keys = keysOf(now, held ?? new Map());
  if (!held) {
    now.forEach((concern, at) => {
      places.set(keys[at] ?? "", { concern, over: false });
    });
    return { places, waiting: [] };
  }
  const told = new Map(now.map((concern, at) => [keys[at] ?? "", concern]));
  // Of more than are told some are left out, which are not over.
  const all = now.length < MOST_CONCERNS;
  for (const [key, before] of held) {
    const concern = told.get(key);
    places.set(key, concern ? { concern, over: false } : { concern: before.concern, over: before.over || all });
  }
  return { places, waiting: [...told].filter(([key]) => !held.has(key)).map(([, concern]) => concern) };
}

/**
 * Of each its line, by what it is about. Of several about one thing, each has the one that says the same but for numbers;
 * what is left, whose words have changed, one that is left.
 */
function keysOf(now: readonly Concern[], held: Placing["places"]): string[] {
  const left = new Map<string, Map<string, string>>();
  for (const [key, { concern }] of held) {
    const mine = left.get(concern.subject) ?? new Map<string, string>();
    left.set(concern.subject, mine.set(key, worded(concern)));
  }
  const keys: (string | undefined)[] = now.map((concern) => {
    const mine = left.get(concern.subject);
    const key = [...(mine ?? [])].find(([, words]) => words === worded(concern))?.[0];
    if (key !== undefined) mine?.delete(key);
    return key;
  });
  now.forEach((concern, at) => {
    if (keys[at] !== undefined) return;
    // What is over was another.
    const key = [...(left.get(concern.subject)?.keys() ?? [])].find((one) => !held.get(one)?.over);
    if (key === undefined) return;
    left.get(concern.subject)?.delete(key);
    keys[at] = key;
  });
  const taken = new Set<string>([...held.keys()]);
  return now.map((concern, at) => {
    const had = keys[at];
    if (had !== undefined) return had;
    let number = 1;
    while (taken.has(`${concern.subject} ${number}`)) number += 1;
    taken.add(`${concern.subject} ${number}`);
    return `${concern.subject} ${number}`;
  });
}

/** Without what changes while it goes on: numbers, with their units. */
function worded({ text }: Concern): string {
  return text.replace(/\d[\d.,:]*( ?(ms|s|m|h|d|min)\b)?/g, "").replace(/\s+/g, " ");
}
