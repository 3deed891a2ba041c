/** Everything that can be done from the panel, once: buttons, keys, the palette and the map all take it from here. */
import { IN_THE_PAST, pastRevision } from "../past/when";
import { CUT_OFF, cutOff } from "../state/cut";
import type { Action } from "./action";
import { AGENT_ACTIONS } from "./agents";
import { INSTANCE_ACTIONS } from "./instances";
import { NODE_ACTIONS } from "./nodes";
import type { Target } from "./target";

export const ACTIONS: readonly Action[] = [...AGENT_ACTIONS, ...INSTANCE_ACTIONS, ...NODE_ACTIONS];

export function actionById(id: string): Action {
  const found = ACTIONS.find((one) => one.id === id);
  if (!found) throw new Error(`there is no action ${id}`);
  return found;
}

/** Those for all of what is chosen, if it is of one kind. */
export function actionsFor(targets: readonly Target[]): Action[] {
  const kind = targets[0]?.kind;
  if (!kind || targets.some((one) => one.kind !== kind)) return [];
  return ACTIONS.filter((one) => one.kind === kind && (one.many || targets.length === 1));
}

/** Why it can be done to none of them; empty if to some. */
export function hindrance(action: Action, targets: readonly Target[]): string {
  if (pastRevision()) return IN_THE_PAST;
  if (cutOff()) return CUT_OFF;
  const said = targets.map((one) => action.hindrance(one));
  return said.some((one) => !one) ? "" : (said[0] ?? "nothing is chosen");
}
