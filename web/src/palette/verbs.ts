/**
 * What can be done, by its name alone: `drain`, and then to what. The verbs are those of the registries of actions and of
 * pages that open for something. Pure.
 */

import type { Action } from "../actions/action";
import { hindranceOf, OPENINGS, type Opening } from "../actions/openings";
import { ACTIONS, hindrance } from "../actions/registry";
import type { Target, TargetKind } from "../actions/target";
import { best, bestOf, type Haystack } from "./match";

export type Verb = { kind: "action"; of: Action } | { kind: "opening"; of: Opening };

/** So many are offered before anything of a name is typed, and of those that are named. */
export const MOST_OFFERED = 20;

const VERBS: readonly Verb[] = [
  ...ACTIONS.map((of): Verb => ({ kind: "action", of })),
  ...OPENINGS.map((of): Verb => ({ kind: "opening", of })),
];

export const A_KIND: Record<TargetKind, string> = { agent: "an agent", instance: "an instance", node: "a node" };

/** Its title, and what else it is found by. */
const NAMES: readonly (readonly string[])[] = VERBS.map(({ of }) => [of.title.toLowerCase(), ...of.words]);

export function verbsNamed(needle: string, most: number): Verb[] {
  return bestOf(NAMES, needle, most).flatMap((index) => VERBS[index] ?? []);
}

export interface Before {
  verb: Verb;
  /** The name behind it. */
  rest: string;
}

/** `drain n-3`, `rollback web`: a name of a verb or its beginning, and a name behind it; as many verbs as it may be. */
export function verbsBefore(needle: string): Before[] {
  const typed = needle.toLowerCase();
  const unfinished = isUnfinished(typed);
  return VERBS.flatMap((verb, index) => {
    const names = NAMES[index] ?? [];
    const whole = splits(typed).find(([head]) => names.includes(head));
    const begun = unfinished ? undefined : splits(typed).find(([head]) => names.some((name) => name.startsWith(head)));
    const [, rest] = whole ?? begun ?? [];
    return rest ? [{ verb, rest }] : [];
  });
}

/** `scl web`: the letters of a verb in their order, from its first one on; those that leave out the fewest first. */
export function verbsLike(needle: string): Before[] {
  if (isUnfinished(needle.toLowerCase())) return [];
  const found = VERBS.flatMap((verb, index) => {
    for (const [head, rest] of splits(needle.toLowerCase())) {
      const like = (NAMES[index] ?? []).filter((name) => head.length > 1 && isWithin(head, name));
      if (like.length) return [{ verb, rest, left: Math.min(...like.map((name) => name.length)) - head.length }];
    }
    return [];
  });
  return found.sort((one, other) => one.left - other.left);
}

/** `roll ba` is still a verb, and no agent named ba. */
function isUnfinished(typed: string): boolean {
  return NAMES.flat().some((name) => name.startsWith(typed));
}

function isWithin(letters: string, name: string): boolean {
  if (letters[0] !== name[0]) return false;
  let at = 0;
  for (const letter of name) if (letter === letters[at]) at += 1;
  return at === letters.length;
}

/** A text at each of its spaces, the longest beginning first. */
function splits(text: string): [string, string][] {
  const parts = text.split(/\s+/);
  return parts
    .slice(1)
    .map((_, at): [string, string] => [parts.slice(0, at + 1).join(" "), parts.slice(at + 1).join(" ")])
    .reverse();
}

/** Why not, to this one now; empty if it can be done. */
export function whyNot(verb: Verb, target: Target): string {
  if (verb.of.kind !== target.kind) return "of another kind";
  return verb.kind === "action" ? hindrance(verb.of, [target]) : hindranceOf(verb.of, [target]);
}

/** More are not put into the order that people count in. */
const MOST_SORTED = 2_000;

/** To what it can be done: what is chosen first, then favourites, then the others by their names. */
export function targetsOf(
  verb: Verb,
  text: string,
  all: Haystack,
  chosen: readonly Target[],
  favourite: (target: Target) => boolean,
): Target[] {
  const needle = text.trim();
  const able = (target: Target) => !whyNot(verb, target);
  if (needle) {
    // Of those that it can be done to alone, lest the others take all places.
    const own = all.targets.flatMap((target, index) => (able(target) ? [index] : []));
    const names = own.map((index) => all.names[index] ?? "");
    return best(names, needle, MOST_OFFERED).flatMap((place) => all.targets[own[place] ?? -1] ?? []);
  }
  const first = [...chosen.filter(able), ...all.targets.filter((one) => favourite(one) && able(one))];
  const named = new Set(first.map((one) => one.object.id));
  let others = all.targets.filter((target) => able(target) && !named.has(target.object.id));
  // The quicker order is good enough to find which of very many are shown.
  if (others.length > MOST_SORTED) {
    others.sort((one, other) => (one.object.name < other.object.name ? -1 : 1));
    others = others.slice(0, MOST_SORTED);
  }
  others.sort((one, other) => one.object.name.localeCompare(other.object.name, "en", { numeric: true }));
  return [...new Map([...first, ...others].map((one) => [one.object.id, one])).values()].slice(0, MOST_OFFERED);
}

/** Why it can be done to none at all: as it is said of the first there is. */
export function whyToNone(verb: Verb, all: Haystack): string {
  const some = all.targets.find((one) => one.kind === verb.of.kind);
  return some ? whyNot(verb, some) : `there is no ${verb.of.kind}`;
}
