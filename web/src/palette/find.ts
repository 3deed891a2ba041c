/**
 * What the palette finds: pages, what can be done to what is chosen, objects by name, and `scale web`: an action and
 * what it is to be done to. Pure; fuzzy matching is uFuzzy's.
 */
import uFuzzy from "@leeoniya/ufuzzy";
import type { Doing } from "../actions/desk";
import { PLACES } from "../actions/keys";
import { hindranceOf, OPENINGS, type Opening, openingsFor } from "../actions/openings";
import { ACTIONS, type Action, actionsFor, hindrance } from "../actions/registry";
import { hrefOf, nameOf, type Target } from "../actions/target";

export type Item =
  | { kind: "page"; title: string; key: string; href: string }
  | { kind: "doing"; title: string; key: string; more: string; doing: Doing }
  | { kind: "action"; title: string; key: string; more: string; action: Action; targets: readonly Target[] }
  | { kind: "opening"; title: string; key: string; more: string; opening: Opening; targets: readonly Target[] }
  | { kind: "object"; title: string; more: string; href: string; target: Target };

/** Of each kind at most so many; who wants more types on. */
export const MOST = 8;

const matcher = new uFuzzy({ intraMode: 1 });

export interface Haystack {
  names: readonly string[];
  targets: readonly Target[];
}

export function haystackOf(targets: readonly Target[]): Haystack {
  return { targets, names: targets.map((one) => nameOf(one)) };
}

/** Indexes of the best matches, the best first. */
function best(names: readonly string[], needle: string, most: number): number[] {
  // What begins as it is typed is meant before anything that is only like it.
  const first: number[] = [];
  const begun = needle.toLowerCase();
  for (let index = 0; index < names.length && first.length < most; index += 1) {
    if (names[index]?.toLowerCase().startsWith(begun)) first.push(index);
  }
  if (first.length >= most) return first;
  const [found, info, order] = matcher.search(names as string[], needle, 1, 2_000);
  const ranked = info && order ? order.map((place) => info.idx[place] ?? 0) : (found ?? []);
  return [...new Set([...first, ...ranked])].slice(0, most);
}

export function find(
  text: string,
  chosen: readonly Target[],
  all: Haystack,
  doings: readonly Doing[] = [],
  pages = PLACES,
): Item[] {
  const needle = text.trim();
  const onChosen = [
    ...actionsFor(chosen)
      .filter((action) => !hindrance(action, chosen))
      .map((action) => actionItem(action, chosen)),
    ...openingsFor(chosen)
      .filter((opening) => !hindranceOf(opening, chosen))
      .map((opening) => openingItem(opening, chosen)),
  ];
  const places: Item[] = pages.map((one) => ({ kind: "page", title: one.title, key: `g ${one.key}`, href: one.href }));
  const here: Item[] = doings.map((doing) => ({
    kind: "doing",
    title: doing.title,
    key: doing.key,
    more: "here",
    doing,
  }));
  if (!needle) return [...onChosen, ...here.filter((one) => one.kind === "doing" && one.key), ...places];
  return [
    ...best(
      onChosen.map((one) => one.title),
      needle,
      MOST,
    ).flatMap((index) => onChosen[index] ?? []),
    ...best(
      here.map((one) => one.title),
      needle,
      MOST,
    ).flatMap((index) => here[index] ?? []),
    ...best(
      places.map((one) => one.title),
      needle,
      MOST,
    ).flatMap((index) => places[index] ?? []),
    ...actionsByName(needle, all, chosen),
    ...best(all.names, needle, MOST).flatMap((index) => objectItem(all.targets[index])),
  ];
}

function actionItem(action: Action, targets: readonly Target[]): Item {
  const [first] = targets;
  const name = first && targets.length === 1 ? nameOf(first) : `${targets.length} ${action.kind}s`;
  return { kind: "action", title: `${action.title} ${name}`, key: action.key, more: action.kind, action, targets };
}

function openingItem(opening: Opening, targets: readonly Target[]): Item {
  const [first] = targets;
  const name = first && targets.length === 1 ? nameOf(first) : `${targets.length} ${opening.kind}s`;
  return { kind: "opening", title: `${opening.title} ${name}`, key: opening.key, more: opening.kind, opening, targets };
}

function objectItem(target: Target | undefined): Item[] {
  if (!target) return [];
  const { object, kind } = target;
  return [{ kind: "object", title: nameOf(target), more: `${kind} · ${object.status}`, href: hrefOf(target), target }];
}

/** `sc web` is to scale web: the first word begins an action's name, the rest is a name. */
function actionsByName(needle: string, all: Haystack, chosen: readonly Target[]): Item[] {
  const space = needle.indexOf(" ");
  if (space < 0) return [];
  const verb = needle.slice(0, space).toLowerCase();
  const rest = needle.slice(space + 1).trim();
  const meant = ACTIONS.filter((action) => action.title.toLowerCase().startsWith(verb));
  const pages = OPENINGS.filter((opening) => opening.title.toLowerCase().startsWith(verb));
  if (!rest || !(meant.length || pages.length)) return [];
  // What is chosen has its actions above.
  const above = new Set(chosen.map((one) => one.object.id));
  const found = best(all.names, rest, MOST * 4)
    .flatMap((index) => all.targets[index] ?? [])
    .filter((target) => !above.has(target.object.id));
  return [
    ...meant.flatMap((action) =>
      found
        .filter((target) => !action.hindrance(target))
        .map((target) => ({ ...actionItem(action, [target]), key: "" })),
    ),
    ...pages.flatMap((opening) =>
      found
        .filter((target) => target.kind === opening.kind && !opening.hindrance(target))
        .map((target) => ({ ...openingItem(opening, [target]), key: "" })),
    ),
  ].slice(0, MOST);
}
