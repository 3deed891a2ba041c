/** What wants an eye, so that a line stays the line that it is while its words change: somebody may be reading it. */
import type { FabricStatus } from "../api/types";

export type Concern = FabricStatus["concerns"][number];

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
