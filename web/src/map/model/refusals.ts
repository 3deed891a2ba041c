/** Why each node refuses an instance: in words, and by reason, each with the nodes that have it. */
import type { InstanceExplanation, RuleFailure } from "../../api/types";
import { ruleName } from "./failing";

/** One rule that nodes fail. */
export interface Reason {
  key: string;
  /** What it asks for, and what they have if that is the same for all. */
  text: string;
  /** How many fail it, whatever else they fail. */
  nodes: number;
}

export interface Refusals {
  instance: string;
  text: string;
  /** By node id; those that would take it have no reasons. */
  nodes: ReadonlyMap<string, readonly string[]>;
  /** What most nodes fail first. */
  reasons: readonly Reason[];
  /** Of each node, the places of its reasons among all, the lowest first. */
  places: ReadonlyMap<string, readonly number[]>;
  /** Nodes that were explained, of how many. */
  told: number;
  all: number;
  /** The one reason whose nodes alone are lit, of `reasons`; -1: all. */
  marked: number;
}

export function refusalsOf(explained: InstanceExplanation): Refusals {
  const table = explained.placement?.table ?? [];
  const nodes = new Map<string, readonly string[]>();
  const failed = new Map<string, RuleFailure[]>();
  for (const verdict of table) {
    const failures = verdict.fits ? [] : (verdict.failures ?? []);
    nodes.set(verdict.node, failures.map(inWords));
    for (const failure of failures) {
      const key = keyOf(failure);
      const had = failed.get(key);
      if (had) had.push(failure);
      else failed.set(key, [failure]);
    }
  }
  const reasons = [...failed]
    .map(([key, all]) => ({ key, text: inWords(alikeIn(all)), nodes: all.length }))
    .sort((one, other) => other.nodes - one.nodes || (one.key < other.key ? -1 : 1));
  const at = new Map(reasons.map(({ key }, index) => [key, index]));
  const places = new Map(
    table.map((verdict) => {
      const own = verdict.fits ? [] : (verdict.failures ?? []).map((failure) => at.get(keyOf(failure)) ?? 0);
      return [verdict.node, own.sort((one, other) => one - other)];
    }),
  );
  const text = explained.placement?.text || explained.text;
  const all = Math.max(explained.placement?.nodes ?? 0, table.length);
  return { instance: explained.instance.id, text, nodes, reasons, places, told: table.length, all, marked: -1 };
}

/** With the nodes of one reason lit alone; of all, if it is none of them (any more). */
export function marking(refusals: Refusals, key: string): Refusals {
  return { ...refusals, marked: refusals.reasons.findIndex((one) => one.key === key) };
}

/** What a node is lit with: that it refuses, or would take it. Undefined: it is not lit. */
export function refusalAt(refusals: Refusals, node: string): "tone-bad" | "tone-good" | undefined {
  const own = refusals.places.get(node);
  if (!own) return undefined;
  if (refusals.marked >= 0) return own.includes(refusals.marked) ? "tone-bad" : undefined;
  return own.length ? "tone-bad" : "tone-good";
}

/** What is the same in all of them. */
function alikeIn(failures: readonly RuleFailure[]): RuleFailure {
  const common = (of: "need" | "have") => {
    const [first] = failures;
    return first && failures.every((one) => one[of] === first[of]) ? first[of] : "";
  };
  const { rule = "", subject = "" } = failures[0] ?? {};
  return { rule, subject, need: common("need"), have: common("have"), lasting: false };
}

function keyOf({ rule, subject }: RuleFailure): string {
  return `${rule} ${subject ?? ""}`;
}

export function inWords(failure: RuleFailure): string {
  const rule = ruleName(failure.rule);
  const subject = failure.subject && failure.subject !== failure.rule ? ` ${failure.subject}` : "";
  const need = failure.need && `needs ${failure.need}`;
  const have = failure.have && `has ${failure.have}`;
  const more = [need, have].filter(Boolean).join(", ");
  return `${rule}${subject}${more ? `: ${more}` : ""}`;
}

/** To be said below a node, the longest first: each reason with what it needs and has, without that, the first alone, a word. */
export function shortened(reasons: readonly string[]): string[] {
  const names = reasons.map((reason) => reason.split(": ", 1)[0] ?? reason);
  const [first = ""] = names;
  const others = names.length - 1;
  const word = first.split(" ", 1)[0] ?? first;
  const texts = [reasons.join("; "), names.join("; "), others > 0 ? `${first} +${others}` : first];
  return word === first ? texts : [...texts, `${word}…`];
}
