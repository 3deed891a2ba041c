/**
 * What is told apart of units by the legend, the card and the words: their tones; of what is bad, what fails now from what
 * has failed for good or was lost, of which nobody waits for more; and of what waits, what has no node yet
 * and what is away with its node.
 */
import type { Instance } from "../../api/types";
import { hasEnded, type Tone } from "../../words/states";

export type Standing = Tone | "failed" | "lost" | "pending" | "away";

/** What needs somebody first. */
export const STANDINGS: readonly (readonly [Standing, string])[] = [
  ["bad", "failing"],
  ["failed", "failed"],
  ["lost", "lost"],
  ["unknown", "unknown"],
  ["away", "away"],
  ["pending", "pending"],
  ["wait", "waiting"],
  ["busy", "starting"],
  ["good", "running"],
  ["off", "ended"],
];

/** What has ended as it should. */
const GONE = new Set(["stopped", "succeeded"]);

/**
 * Whether it is nowhere any more. A replica of an agent that has failed or is lost is still there: one is to be in its slot,
 * and is not. A job's is not waited for.
 */
export function isGone(instance: Instance): boolean {
  return GONE.has(instance.status) || (instance.kind === "job" && hasEnded(instance));
}

export function standingOf(instance: Instance, tone: Tone): Standing {
  // For a node: what waits on its node, to start anew or to end, is told from it in lists too.
  if (tone === "wait" && instance.status === "pending") return "pending";
  if (tone === "wait" && instance.unknown_because) return "away";
  if (tone !== "bad" || !hasEnded(instance)) return tone;
  return instance.status === "lost" ? "lost" : "failed";
}

export function toneOf(standing: Standing): Tone {
  if (standing === "pending" || standing === "away") return "wait";
  return standing === "failed" || standing === "lost" ? "bad" : standing;
}

/** Of the same colour, and hollow: no more comes of it. */
export function isOver(standing: Standing): boolean {
  return standing === "failed" || standing === "lost" || standing === "off";
}
