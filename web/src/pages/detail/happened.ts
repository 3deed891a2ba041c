/** What has happened to instances, as their own records tell it. Pure. */
import type { Instance } from "../../api/types";
import type { Mark } from "../../charts/marks";

export interface Death {
  instance: Instance;
  exit: NonNullable<Instance["exit"]>;
  /** It is the generation before that ended so. */
  before: boolean;
}

const ASKED_FOR = ["stopped", "killed"];

/** How the last attempt of an instance ended, or of the generation before; that somebody asked for it is no news. */
export function unaskedEnd(instance: Instance): Death["exit"] | undefined {
  const exit = instance.exit ?? instance.previous_exit;
  return exit && !ASKED_FOR.includes(exit.reason) ? exit : undefined;
}

export function endOf(instance: Instance): { title: string; of: string; exit: Death["exit"] } | undefined {
  const exit = unaskedEnd(instance);
  if (!exit) return undefined;
  return {
    title: instance.status === "succeeded" ? "Last end" : "Last death",
    of: `Attempt ${exit.attempt}${instance.exit ? "" : " of the generation before"}`,
    exit,
  };
}

export function whoDied(death: Death): string {
  return death.before ? `The generation before ${death.instance.name}` : death.instance.name;
}

/** The newest; that one stopped as it was told to, or came to its end, is no death of its own. */
export function lastDeath(instances: readonly Instance[]): Death | undefined {
  let found: Death | undefined;
  for (const instance of instances) {
    const exit = unaskedEnd(instance);
    if (!exit?.ended_ms || instance.status === "succeeded") continue;
    const later = exit.ended_ms - (found?.exit.ended_ms ?? 0);
    // The next generation tells of the same end, and is not the one that died.
    if (later > 0 || (later === 0 && found?.before && instance.exit))
      found = { instance, exit, before: !instance.exit };
  }
  return found;
}

/** Since when an instance is of the version that it has: it was made in that, or a rollback has kept it. */
export function versionMs(instance: Instance): number {
  return instance.kept_ms || instance.created_ms;
}

/** When each version of each agent first came to where these are: placed or moved there, not only deployed. */
export function deployedHere(instances: readonly Instance[]): Mark[] {
  const first = new Map<string, Mark>();
  for (const one of instances) {
    if (one.kind !== "agent") continue;
    const key = `${one.namespace}/${one.workload} ${one.version}`;
    const known = first.get(key);
    if (!known || versionMs(one) < known.atMs)
      first.set(key, { atMs: versionMs(one), text: `${one.workload} v${one.version} starts`, kind: "start" });
  }
  return [...first.values()].sort((a, b) => a.atMs - b.atMs);
}
