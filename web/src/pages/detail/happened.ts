/** What has happened to instances, as their own records tell it. Pure. */
import type { Instance } from "../../api/types";
import type { Mark } from "../../charts/series";

export interface Death {
  instance: Instance;
  exit: NonNullable<Instance["exit"]>;
}

/** The newest; that one stopped as it was told to, or came to its end, is no death of its own. */
export function lastDeath(instances: readonly Instance[]): Death | undefined {
  let found: Death | undefined;
  for (const instance of instances) {
    const exit = instance.exit ?? instance.previous_exit;
    if (!exit?.ended_ms || exit.reason === "stopped" || instance.status === "succeeded") continue;
    if (!found || exit.ended_ms > (found.exit.ended_ms ?? 0)) found = { instance, exit };
  }
  return found;
}

/** When each version of each agent came to where these are. */
export function deployedHere(instances: readonly Instance[]): Mark[] {
  const first = new Map<string, Mark>();
  for (const one of instances) {
    if (one.kind !== "agent") continue;
    const key = `${one.namespace}/${one.workload} ${one.version}`;
    const known = first.get(key);
    if (!known || one.created_ms < known.atMs)
      first.set(key, { atMs: one.created_ms, text: `${one.workload} v${one.version}` });
  }
  return [...first.values()].sort((a, b) => a.atMs - b.atMs);
}
