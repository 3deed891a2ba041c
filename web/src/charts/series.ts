/** What Nexus says about a metric, as lines of a chart. Pure. */
import type { MetricAnswer } from "../api/types";
import { bytes, cores } from "../words/format";

export interface Line {
  name: string;
  /** One for each time; null where nothing is known: a gap is shown as one. */
  values: readonly (number | null)[];
}

export interface Lines {
  /** Seconds since 1970, evenly. */
  times: readonly number[];
  lines: readonly Line[];
}

export const NOTHING: Lines = { times: [], lines: [] };

/** A node of which nobody asks sends so seldom, and its batch may come so late. */
const BATCH_MS = 11_000;
const LATE_MS = 10_000;

/**
 * Where a chart ends, ms: 0 for now, less for so long before it. A sum is only of what all have sent, or it would fall at its
 * end. `thenMs`: of which time it is; 0: of now.
 */
export function endOf(thenMs: number, ofOneNode: boolean): number {
  return thenMs || (ofOneNode ? 0 : -(BATCH_MS + LATE_MS));
}

/** `name`: what a line is called, of its labels. */
export function linesOf(answer: MetricAnswer, name: (labels: Record<string, string>) => string): Lines {
  const length = Math.max(0, ...answer.items.map((one) => one.values.length));
  const times = Array.from({ length }, (_, index) => (answer.start_ms + index * answer.step_ms) / 1000);
  const lines = answer.items.map((one) => ({
    name: name(one.labels as Record<string, string>),
    values: Array.from({ length }, (_, index) => (one.values[index] as number | null | undefined) ?? null),
  }));
  return { times, lines };
}

export function newest(lines: Lines): number | undefined {
  let sum: number | undefined;
  for (const { values } of lines.lines) {
    const last = values.findLast((one) => one !== null);
    if (typeof last === "number") sum = (sum ?? 0) + last;
  }
  return sum;
}

/** What stands alone between gaps: no line leads to it, so that it needs a point of its own. By index. */
export function lone(values: readonly (number | null | undefined)[]): number[] {
  const known = (at: number) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}

/** Cores in use. */
export function coresUsed(value: number): string {
  return cores(value * 1000);
}

/** What an axis is divided by, so that each of its numbers can be said as it is. */
export interface Axis {
  steps?: readonly number[];
  /** The least that it reaches to, however little there is. */
  least: number;
}

const BYTE_AXIS: Axis = { steps: Array.from({ length: 50 }, (_, power) => 2 ** power), least: 1024 };
const CORE_AXIS: Axis = {
  steps: [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000].flatMap((tens) => [1, 2, 5].map((one) => (one * tens) / 1000)),
  least: 0.004,
};

export function axisOf(form: (value: number) => string): Axis {
  if (form === bytes) return BYTE_AXIS;
  return form === coresUsed ? CORE_AXIS : { least: 0 };
}

/** A selector for `GET /v1/metrics/query`, with whatever may be in a name. */
export function selector(metric: string, labels: Record<string, string>): string {
  const conditions = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`,
  );
  return conditions.length ? `${metric}{${conditions.join(",")}}` : metric;
}
