/**
 * Which rule holds up what: for an instance that waits, the scheduler's rule that keeps most nodes from it; for one that
 * fails, what it failed by; for a node, the rule by which it refuses those that wait. Rules have the same names for both.
 */
import type { Instance, InstanceExplanation, Node } from "../../api/types";
import { isSilent } from "../../words/states";
import { isGone } from "./standing";

export interface Failing {
  /** By workload of which instances wait. */
  waiting: ReadonlyMap<string, string>;
  /** By node id. */
  refusing: ReadonlyMap<string, string>;
  /** Those that hold up most first. */
  rules: readonly string[];
  units: ReadonlyMap<string, number>;
  nodes: ReadonlyMap<string, number>;
}

export const NOT_ASKED: Failing = {
  waiting: new Map(),
  refusing: new Map(),
  rules: [],
  units: new Map(),
  nodes: new Map(),
};

/** Workloads that Nexus is asked about, those of which most wait first: all of the others are shown as such. */
export const ASKED_MOST = 8;
const UNASKED = "waits, not asked why";

const FAILED = new Set(["failed", "lost"]);

/** Empty: nothing holds it up. */
export function ruleOfUnit(instance: Instance, failing: Failing): string {
  if (instance.status === "pending") return failing.waiting.get(instance.workload_id) ?? UNASKED;
  if (instance.status === "unknown") {
    return instance.unknown_because?.startsWith("node ") ? "node silent" : "runtime silent";
  }
  if (instance.status === "running" && instance.health === "unhealthy") return "probe";
  const waits = instance.status === "starting" && (instance.attempt ?? 0) > 1;
  if (!FAILED.has(instance.status) && !waits) return "";
  if (instance.status === "lost") return "node silent";
  const { exit } = instance;
  if (exit?.out_of_memory) return "out of memory";
  return ruleName(exit?.cause || "") || "exit";
}

/** Empty: it refuses none that it was asked for. */
export function ruleOfNode(node: Node, failing: Failing): string {
  const asked = failing.refusing.get(node.id);
  if (asked !== undefined) return asked;
  return node.scheduling === "open" ? "" : "closed";
}

/** The instances to ask about: of each workload the first that waits, most waiting first, in whatever order they come. */
export function toAsk(instances: Iterable<Instance>): string[] {
  const found = new Map<string, { id: string; many: number }>();
  for (const one of instances) {
    if (one.status !== "pending") continue;
    const had = found.get(one.workload_id);
    if (had) {
      had.many += 1;
      if (one.id < had.id) had.id = one.id;
    } else found.set(one.workload_id, { id: one.id, many: 1 });
  }
  return [...found.values()]
    .sort((one, other) => other.many - one.many || (one.id < other.id ? -1 : 1))
    .slice(0, ASKED_MOST)
    .map(({ id }) => id);
}

/** `answers`: in the order of asking, so that a node has the rule by which it refuses the most. */
export function failingOf(
  answers: readonly InstanceExplanation[],
  nodes: Iterable<Node>,
  instances: Iterable<Instance>,
): Failing {
  const waiting = new Map<string, string>();
  const refusing = new Map<string, string>();
  for (const { instance, placement } of answers) {
    const [first] = placement?.reasons ?? [];
    waiting.set(instance.workload_id, first ? ruleName(first.rule) : "about to be placed");
    for (const verdict of placement?.table ?? []) {
      const [failure] = verdict.failures ?? [];
      if (failure && !verdict.fits && !refusing.has(verdict.node)) refusing.set(verdict.node, ruleName(failure.rule));
    }
  }
  const known = { ...NOT_ASKED, waiting, refusing };
  const ofNodes = new Map<string, number>();
  const ofUnits = new Map<string, number>();
  for (const node of nodes) {
    // A dark node is drawn dark: it has no rule's colour, and the legend counts it as dark.
    if (!isSilent(node)) count(ofNodes, ruleOfNode(node, known));
  }
  // What is not on the map has no colour there, and the legend does not count it.
  for (const one of instances) if (!isGone(one)) count(ofUnits, ruleOfUnit(one, known));
  const sum = (rule: string) => (ofUnits.get(rule) ?? 0) * 1_000_000 + (ofNodes.get(rule) ?? 0);
  const rules = [...new Set([...ofUnits.keys(), ...ofNodes.keys()])].sort(
    (one, other) => sum(other) - sum(one) || (one < other ? -1 : 1),
  );
  return { waiting, refusing, rules, units: ofUnits, nodes: ofNodes };
}

function count(counts: Map<string, number>, rule: string): void {
  if (rule) counts.set(rule, (counts.get(rule) ?? 0) + 1);
}

/** In words. */
export function ruleName(rule: string): string {
  return rule.replaceAll("_", " ").replaceAll("-", " ");
}
