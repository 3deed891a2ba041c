/**
 * What the palette finds: pages, what can be done to what is chosen, objects by name, what can be done by its name alone
 * (`scale`, which then asks to what), and `scale web`: an action and what it is to be done to. Pure.
 */

import type { Action } from "../actions/action";
import type { Doing } from "../actions/desk";
import { PLACES } from "../actions/keys";
import { hindranceOf, type Opening, openingsFor } from "../actions/openings";
import { byKind, meantBy } from "../actions/pressed";
import { actionsFor, hindrance } from "../actions/registry";
import { hrefOf, nameOf, type Target } from "../actions/target";
import { pastRevision } from "../past/when";
import { agentState, instanceState, nodeState, type State } from "../words/states";
import { best, bestOf, type Haystack } from "./match";
import { A_KIND, type Before, targetsOf, type Verb, verbsBefore, verbsLike, verbsNamed, whyNot } from "./verbs";

export type Item =
  | { kind: "page"; title: string; key: string; href: string }
  | { kind: "doing"; title: string; key: string; more: string; doing: Doing }
  | { kind: "action"; title: string; key: string; more: string; action: Action; targets: readonly Target[] }
  | { kind: "opening"; title: string; key: string; more: string; opening: Opening; targets: readonly Target[] }
  | { kind: "verb"; title: string; key: string; more: string; verb: Verb }
  | { kind: "object"; title: string; more: string; href: string; target: Target };

/** Of each kind at most so many; who wants more types on. */
export const MOST = 8;

export function find(
  text: string,
  chosen: readonly Target[],
  all: Haystack,
  doings: readonly Doing[] = [],
  pages = PLACES,
): Item[] {
  const needle = text.trim();
  const onChosen = byKind(chosen).flatMap((some) => [
    ...actionsFor(some)
      .filter((action) => !hindrance(action, some))
      .map((action) => actionItem(action, some, chosen)),
    ...openingsFor(some)
      .filter((opening) => !hindranceOf(opening, some))
      .map((opening) => openingItem(opening, some, chosen)),
  ]);
  const places: Item[] = pages.map((one) => ({ kind: "page", title: one.title, key: `g ${one.key}`, href: one.href }));
  const here: Item[] = doings.map((doing) => ({
    kind: "doing",
    title: doing.title,
    key: doing.key,
    more: "here",
    doing,
  }));
  if (!needle) return [...onChosen, ...here.filter((one) => one.kind === "doing" && one.key), ...places];
  const done = verbsWithName(verbsBefore(needle), all, chosen);
  const objects = best(all.names, needle, MOST).flatMap((index) => objectItem(all.targets[index]));
  return [
    ...bestOf(onChosen.map(namesOf), needle, MOST).flatMap((index) => onChosen[index] ?? []),
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
    ...verbsAlone(needle),
    ...done,
    ...objects,
    // `rack 1` has letters of `roll back` too, and means the rack.
    ...(done.length ? [] : verbsWithName(verbsLike(needle), all, chosen)),
  ];
}

/** `Roll back web`, `rollback web`, `undo web`. */
function namesOf(item: Item): string[] {
  const of = item.kind === "action" ? item.action : item.kind === "opening" ? item.opening : undefined;
  return [item.title, ...(of?.words ?? []).map((word) => `${word}${item.title.slice(of?.title.length)}`)];
}

/** A key that is another kind's, of what is chosen, is not said of this one. */
function keyOf(of: Action | Opening, chosen: readonly Target[]): string {
  return meantBy(of.key, chosen)?.targets[0]?.kind === of.kind ? of.key : "";
}

function actionItem(action: Action, targets: readonly Target[], chosen = targets): Item {
  const [first] = targets;
  const name = first && targets.length === 1 ? nameOf(first) : `${targets.length} ${action.kind}s`;
  return {
    kind: "action",
    title: `${action.title} ${name}`,
    key: keyOf(action, chosen),
    more: action.kind,
    action,
    targets,
  };
}

function openingItem(opening: Opening, targets: readonly Target[], chosen = targets): Item {
  const [first] = targets;
  const name = first && targets.length === 1 ? nameOf(first) : `${targets.length} ${opening.kind}s`;
  return {
    kind: "opening",
    title: `${opening.title} ${name}`,
    key: keyOf(opening, chosen),
    more: opening.kind,
    opening,
    targets,
  };
}

/** As lists say it. */
function stateOf(target: Target): State {
  if (target.kind === "node") return nodeState(target.object);
  return target.kind === "agent" ? agentState(target.object) : instanceState(target.object);
}

function objectItem(target: Target | undefined): Item[] {
  if (!target) return [];
  const more = `${target.kind} · ${stateOf(target).text}`;
  return [{ kind: "object", title: nameOf(target), more, href: hrefOf(target), target }];
}

/** Of what has passed nothing is changed or reached. */
function verbsAlone(needle: string): Item[] {
  if (pastRevision()) return [];
  return verbsNamed(needle, MOST).map((verb) => ({
    kind: "verb",
    title: `${verb.of.title}…`,
    key: "",
    more: A_KIND[verb.of.kind],
    verb,
  }));
}

/** `sc web` is to scale web. */
function verbsWithName(meant: readonly Before[], all: Haystack, chosen: readonly Target[]): Item[] {
  // What is chosen has its actions above.
  const above = new Set(chosen.map((one) => one.object.id));
  const named = new Map<string, Target[]>();
  const targetsNamed = (rest: string) => {
    const found = named.get(rest) ?? best(all.names, rest, MOST * 4).flatMap((index) => all.targets[index] ?? []);
    named.set(rest, found);
    return found;
  };
  return meant
    .flatMap(({ verb, rest }) => {
      const able = targetsNamed(rest).filter((target) => !whyNot(verb, target));
      // Those named so best may all be of another kind, or such that it cannot be done to.
      const some = able.length ? able : targetsOf(verb, rest, all, [], () => false);
      return some.filter((target) => !above.has(target.object.id)).map((target) => itemOf(verb, target));
    })
    .slice(0, MOST);
}

/** What a verb can be done to, once it has been chosen. */
export function findFor(
  verb: Verb,
  text: string,
  all: Haystack,
  chosen: readonly Target[],
  favourite: (target: Target) => boolean,
): Item[] {
  return targetsOf(verb, text, all, chosen, favourite).map((target) => itemOf(verb, target));
}

function itemOf(verb: Verb, target: Target): Item {
  const item = verb.kind === "action" ? actionItem(verb.of, [target]) : openingItem(verb.of, [target]);
  return item.kind === "page" || item.kind === "object" ? item : { ...item, key: "" };
}
