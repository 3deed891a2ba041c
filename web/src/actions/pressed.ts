/** Which of all that can be done to what is chosen a key means, where things of several kinds are chosen. Pure. */
import type { Action } from "./action";
import { type Opening, openingsFor } from "./openings";
import { actionsFor } from "./registry";
import type { Target } from "./target";

export type Meant =
  | { kind: "opening"; opening: Opening; targets: readonly Target[] }
  | { kind: "action"; action: Action; targets: readonly Target[] };

/** Of each kind that there is, all; the kinds as they come first. */
export function byKind(targets: readonly Target[]): Target[][] {
  const found = new Map<string, Target[]>();
  for (const one of targets) {
    const group = found.get(one.kind);
    if (group) group.push(one);
    else found.set(one.kind, [one]);
  }
  return [...found.values()];
}

/** The first kind that has the key takes it: Restart of an instance before that of its agent. */
export function meantBy(key: string, targets: readonly Target[]): Meant | undefined {
  for (const group of byKind(targets)) {
    const opening = openingsFor(group).find((one) => one.key === key);
    if (opening) return { kind: "opening", opening, targets: group };
    const action = actionsFor(group).find((one) => one.key === key);
    if (action) return { kind: "action", action, targets: group };
  }
  return undefined;
}
