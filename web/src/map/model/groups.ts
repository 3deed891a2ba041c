/** What is selected, and the groups that number keys save and recall. */

export interface Selection {
  nodes: ReadonlySet<string>;
  instances: ReadonlySet<string>;
}

export const NOTHING: Selection = { nodes: new Set(), instances: new Set() };
/** A group that was saved holds no more: it goes into the browser's storage. */
export const GROUP_MOST = 5_000;

export function isEmpty(selection: Selection): boolean {
  return !selection.nodes.size && !selection.instances.size;
}

/** With what was chosen; `add`: to what there is, and what is chosen again is let go. */
export function choose(now: Selection, chosen: Selection, add: boolean): Selection {
  if (!add) return chosen;
  return { nodes: toggled(now.nodes, chosen.nodes), instances: toggled(now.instances, chosen.instances) };
}

function toggled(now: ReadonlySet<string>, chosen: ReadonlySet<string>): ReadonlySet<string> {
  if (!chosen.size) return now;
  const all = [...chosen].every((id) => now.has(id));
  const next = new Set(now);
  for (const id of chosen) {
    if (all) next.delete(id);
    else next.add(id);
  }
  return next;
}

/** Without what is no more. The same object if all is. */
export function still(selection: Selection, hasNode: (id: string) => boolean, has: (id: string) => boolean): Selection {
  const nodes = [...selection.nodes].filter(hasNode);
  const instances = [...selection.instances].filter(has);
  if (nodes.length === selection.nodes.size && instances.length === selection.instances.size) return selection;
  return { nodes: new Set(nodes), instances: new Set(instances) };
}

export type Groups = Record<string, { nodes: string[]; instances: string[] }>;

export function saved(groups: Groups, key: string, selection: Selection): Groups {
  if (isEmpty(selection)) {
    const { [key]: _, ...others } = groups;
    return others;
  }
  const nodes = [...selection.nodes].slice(0, GROUP_MOST);
  const instances = [...selection.instances].slice(0, GROUP_MOST);
  return { ...groups, [key]: { nodes, instances } };
}

export function recalled(groups: Groups, key: string): Selection | undefined {
  const group = groups[key];
  return group && { nodes: new Set(group.nodes), instances: new Set(group.instances) };
}

/** What was kept as text. Anything that is not such groups gives none. */
export function readGroups(text: string | null): Groups {
  try {
    const found: unknown = JSON.parse(text ?? "{}");
    if (typeof found !== "object" || found === null) return {};
    const groups: Groups = {};
    for (const [key, value] of Object.entries(found)) {
      const nodes = names((value as Record<string, unknown> | null)?.nodes);
      const instances = names((value as Record<string, unknown> | null)?.instances);
      if (/^[1-9]$/.test(key) && nodes && instances) groups[key] = { nodes, instances };
    }
    return groups;
  } catch {
    return {};
  }
}

function names(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
}
