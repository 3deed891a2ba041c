/** The versions that a rollback may go to. Pure. */
import type { AgentVersion } from "../api/types";

/** Those whose spec is not the newest one's: Nexus refuses the others, as nothing would change. Newest first, as they come. */
export function waysBack(versions: readonly AgentVersion[]): AgentVersion[] {
  const newest = versions.find((one) => one.current);
  return versions.filter((one) => !one.current && !(newest && same(one.spec, newest.spec)));
}

/** The one that Nexus takes where none is named; `ways`: those that there are, newest first. */
export function usualWay(ways: readonly AgentVersion[]): AgentVersion | undefined {
  return ways.find((one) => one.proven);
}

/** Of values as JSON has them: the order of keys says nothing. */
function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (!isObject(one) || !isObject(other) || Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && same(one[key], other[key]))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
