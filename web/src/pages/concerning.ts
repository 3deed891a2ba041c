/**
 * What wants an eye, so that a line stays the line that it is, and where it is: somebody may be reading it, or about to
 * press what is in it. Pure.
 */
import type { FabricStatus } from "../api/types";

export type Concern = FabricStatus["concerns"][number];

/** As many as Nexus tells. */
export const MOST_CONCERNS = 20;

/** In their order, by what each is about; what there is more than one of about the same is told apart by its place. */
export function byKey(concerns: readonly Concern[]): Map<string, Concern> {
  const seen = new Map<string, number>();
  return new Map(
    concerns.map((one) => {
      const before = seen.get(one.subject) ?? 0;
      seen.set(one.subject, before + 1);
      return [`${before} ${one.subject}`, one];
    }),
  );
}

export interface Place {
  concern: Concern;
  /** It wants no eye any more; its line stays until nobody reads. */
  over: boolean;
}

export interface Placing {
  /** By its key, from above downwards. */
  places: ReadonlyMap<string, Place>;
  /** For which there is no line yet: they would push away what is below. */
  waiting: readonly Concern[];
}

/** `held`: the places that are to stay; left out: in the order in which Nexus tells them. */
export function placed(now: readonly Concern[], held?: Placing["places"]): Placing {
  const told = byKey(now);
  const places = new Map<string, Place>();
  if (!held) {
    for (const [key, concern] of told) places.set(key, { concern, over: false });
    return { places, waiting: [] };
  }
  // Of more than are told some are left out, which are not over.
  const all = now.length < MOST_CONCERNS;
  for (const [key, before] of held) {
    const concern = told.get(key);
    places.set(key, concern ? { concern, over: false } : { concern: before.concern, over: before.over || all });
  }
  return { places, waiting: [...told].filter(([key]) => !held.has(key)).map(([, concern]) => concern) };
}
