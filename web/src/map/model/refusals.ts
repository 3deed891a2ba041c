/** Why each node refuses an instance, in words. */
import type { InstanceExplanation, RuleFailure } from "../../api/types";

export interface Refusals {
  instance: string;
  text: string;
  /** By node id; those that would take it have no reasons. */
  nodes: ReadonlyMap<string, readonly string[]>;
}

export function refusalsOf(explained: InstanceExplanation): Refusals {
  const nodes = new Map<string, readonly string[]>();
  for (const verdict of explained.placement?.table ?? []) {
    nodes.set(verdict.node, verdict.fits ? [] : (verdict.failures ?? []).map(inWords));
  }
  return { instance: explained.instance.id, text: explained.placement?.text || explained.text, nodes };
}

export function inWords(failure: RuleFailure): string {
  const rule = failure.rule.replaceAll("_", " ").replaceAll("-", " ");
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
