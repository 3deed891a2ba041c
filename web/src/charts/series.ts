/** What Nexus says about a metric, as lines of a chart. Pure. */
import type { MetricAnswer } from "../api/types";

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

export interface Mark {
  atMs: number;
  text: string;
}

export const NOTHING: Lines = { times: [], lines: [] };

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

/** Marks in sight, by pixel; those that would lie on each other are one. */
export function marksIn(
  marks: readonly Mark[],
  fromMs: number,
  toMs: number,
  width: number,
  apart = 6,
): { x: number; texts: string[] }[] {
  const found: { x: number; texts: string[] }[] = [];
  for (const mark of [...marks].sort((a, b) => a.atMs - b.atMs)) {
    if (mark.atMs < fromMs || mark.atMs > toMs || toMs <= fromMs) continue;
    const x = ((mark.atMs - fromMs) / (toMs - fromMs)) * width;
    const last = found.at(-1);
    if (last && x - last.x < apart) last.texts.push(mark.text);
    else found.push({ x, texts: [mark.text] });
  }
  return found;
}

/** Cores in use, down to thousandths. */
export function coresUsed(value: number): string {
  return value > 0 && value < 0.1 ? `${+(value * 1000).toPrecision(2)} m` : `${+value.toFixed(value < 10 ? 2 : 0)}`;
}

/** Steps of an axis of bytes: 1, 2, 4 and so on, as bytes are counted. */
export const BYTE_STEPS: readonly number[] = Array.from({ length: 50 }, (_, power) => 2 ** power);

/** A selector for `GET /v1/metrics/query`, with whatever may be in a name. */
export function selector(metric: string, labels: Record<string, string>): string {
  const conditions = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`,
  );
  return conditions.length ? `${metric}{${conditions.join(",")}}` : metric;
}
