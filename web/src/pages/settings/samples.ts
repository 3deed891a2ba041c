/** Why samples were not taken, and whether that matters. In the words of `omnitide metrics ls`. Pure. */
import type { MetricList } from "../../api/types";
import { count } from "../../words/format";

const WHY: Record<string, string> = {
  ended: "of instances that were over when their last samples came, which is no fault",
  "no room": "of more series than the memory holds (metrics.memory)",
  "too old": "they came more than two minutes late",
  refused: "a node sent what is no batch of samples (nexus.log says which)",
};

/** Empty where all were taken. */
export function notTaken({ dropped_by }: Pick<MetricList, "dropped_by">): string {
  const all = Object.entries(dropped_by);
  const text = ([reason]: [string, number]) => WHY[reason] ?? reason;
  const [only] = all;
  if (only && all.length === 1) return text(only);
  return all.map((one) => `${count(one[1])} ${text(one)}`).join("; ");
}
