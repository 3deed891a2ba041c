/** A node's last two minutes: what Nexus has kept of them, and what has been told by the second since one looks on. */
import type { Load } from "../state/model";
import type { Use } from "./use";

/** Pure. `kept`: by Nexus, in steps, but for the newest; `told`: as far back as this page has been open. */
export function lately(kept: Use | undefined, told: Load | undefined): Load | undefined {
  if (!kept || !told) return told ?? kept;
  const keptTo = kept.at.at(-1) ?? Number.NEGATIVE_INFINITY;
  const from = told.at.findIndex((atMs) => atMs > keptTo);
  if (from < 0) return { ...told, at: kept.at, cpu: kept.cpu };
  const at = [...kept.at, ...told.at.slice(from)];
  const cpu = [...kept.cpu, ...told.cpu.slice(from)];
  return { ...told, at, cpu };
}
