/** What is selected on the map, what that can be told to do, and the groups that number keys save and recall. */
import { type Accessor, createMemo, createSignal } from "solid-js";
import { nameOf, type Target, useChosen } from "../actions";
import type { Fabric } from "../state/fabric";
import { chosenWords } from "../words/states";
import type { City } from "./model/city";
import {
  choose,
  type Groups,
  isEmpty,
  NOTHING,
  readGroups,
  recalled,
  type Selection,
  saved,
  still,
} from "./model/groups";
import type { Found } from "./model/pick";

/** Those of one kind, as the menu of orders has them. */
export interface OrderGroup {
  title: string;
  targets: Target[];
}

export interface Selecting {
  selection: Accessor<Selection>;
  select(chosen: Selection, add?: boolean): void;
  /** Without what has gone. */
  keepStill(): void;
  /** One group for each kind: nodes, instances, and the agents of these. */
  orders(): OrderGroup[];
  saveGroup(key: string): void;
  /** Selects it; the node to go to, if there is one. */
  recallGroup(key: string): string | undefined;
}

interface Around {
  fabric: Fabric;
  /** By which this browser keeps groups apart. */
  fabricId: string;
  city(): City;
  /** To whoever hears the page. */
  say(text: string): void;
}

export function chosenBy(found: Found | undefined): Selection {
  if (found?.kind === "instance") return { nodes: new Set(), instances: new Set([found.id]) };
  if (found?.kind === "node") return { nodes: new Set([found.id]), instances: new Set() };
  return NOTHING;
}

export function createSelecting(around: Around): Selecting {
  const { fabric } = around;
  const groupsKey = `omnitide.map.groups.${around.fabricId}`;
  let groups: Groups = readGroups(stored(groupsKey));
  const [selection, setSelection] = createSignal<Selection>(NOTHING);
  /** Of each kind that has buttons on the card. */
  const targets = createMemo((): Target[] => {
    const { nodes, instances } = selection();
    return [...targetsOf("node", nodes), ...targetsOf("instance", instances), ...agentsOf(instances)];
  });
  useChosen(targets);

  function targetsOf(kind: "node" | "instance", ids: Iterable<string>): Target[] {
    const found: Target[] = [];
    for (const id of ids) {
      const object = fabric.get(kind, id);
      if (object) found.push({ kind, object } as Target);
    }
    return found;
  }
  function agentsOf(ids: Iterable<string>): Target[] {
    const found = new Map<string, Target>();
    for (const id of ids) {
      const agent = fabric.get("agent", around.city().units.get(id)?.instance.workload_id ?? "");
      if (agent) found.set(agent.id, { kind: "agent", object: agent });
    }
    return [...found.values()];
  }
  const present = (some: Selection): Selection =>
    still(
      some,
      (id) => around.city().buildings.has(id),
      (id) => around.city().units.has(id),
    );
  const select = (chosen: Selection, add = false) => {
    setSelection((now) => choose(now, chosen, add));
    const { nodes } = selection();
    const instances = [...selection().instances].flatMap((id) => fabric.get("instance", id) ?? []);
    const [only] = targets();
    if (isEmpty(selection())) around.say("Nothing is selected.");
    else if (nodes.size + instances.length === 1 && only) around.say(`${nameOf(only)} is selected.`);
    // As the card says it.
    else around.say(`Selected: ${chosenWords(nodes.size, instances)}.`);
  };

  return {
    selection,
    select,
    keepStill: () => {
      const kept = present(selection());
      if (kept !== selection()) setSelection(kept);
    },
    orders: () => [
      ...byKind(targetsOf("node", selection().nodes)),
      ...byKind(targetsOf("instance", selection().instances)),
      ...byKind(agentsOf(selection().instances)),
    ],
    saveGroup: (key) => {
      groups = saved(groups, key, selection());
      keep(groupsKey, JSON.stringify(groups));
      around.say(isEmpty(selection()) ? `Group ${key} is empty now.` : `Group ${key} is saved.`);
    },
    recallGroup: (key) => {
      const found = recalled(groups, key);
      if (!found) {
        around.say(`There is no group ${key}: Ctrl+${key} saves one.`);
        return undefined;
      }
      select(present(found));
      const { nodes, instances } = selection();
      const [first] = [...nodes, ...[...instances].map((id) => around.city().units.get(id)?.home ?? "")];
      return first || undefined;
    },
  };
}

function byKind(all: Target[]): OrderGroup[] {
  const [first] = all;
  if (!first) return [];
  const kind = first.kind === "agent" ? "Agent" : first.kind === "node" ? "Node" : "Instance";
  return [{ title: all.length === 1 ? `${kind} ${nameOf(first)}` : `${kind}s`, targets: all }];
}

function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function keep(key: string, text: string): void {
  try {
    localStorage.setItem(key, text);
  } catch {
    // They then last as long as this page.
  }
}
