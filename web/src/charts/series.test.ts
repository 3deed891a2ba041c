import { describe, expect, it } from "vitest";
import type { MetricAnswer } from "../api/types";
import { axisOf, coresUsed, endOf, linesOf, lone, newest, selector } from "./series";

const answer = (items: { labels: object; values: (number | null)[] }[]) =>
  ({ start_ms: 10_000, step_ms: 500, items }) as unknown as MetricAnswer;

describe("a chart", () => {
  it("keeps gaps, and sums what is newest", () => {
    const lines = linesOf(
      answer([
        { labels: { node: "a" }, values: [1, null, 3] },
        { labels: { node: "b" }, values: [5, 6, null] },
      ]),
      (labels) => labels.node ?? "",
    );
    expect(lines.times).toEqual([10, 10.5, 11]);
    expect(lines.lines[0]).toEqual({ name: "a", values: [1, null, 3] });
    expect(newest(lines)).toBe(9);
    expect(newest(linesOf(answer([]), () => ""))).toBeUndefined();
  });

  it("has a point where a value stands alone, which no line leads to", () => {
    expect(lone([null, 1, null, 2, 3, null, 0])).toEqual([1, 6]);
    expect(lone([5])).toEqual([0]);
    expect(lone([1, 2])).toEqual([]);
    expect(lone([])).toEqual([]);
  });

  it("says cores in one way, never as minutes or as nothing, and its axis has steps that can be said so", () => {
    expect([0, 0.0004, 0.003, 0.12, 1.5].map(coresUsed)).toEqual(["0", "<0.001", "0.003", "0.12", "1.5"]);
    const { steps, least } = axisOf(coresUsed);
    expect(new Set(steps?.map(coresUsed)).size).toBe(steps?.length);
    expect(steps?.[0]).toBeLessThanOrEqual(least);
  });

  it("ends with what all nodes have sent, as that of top does, where it adds up several", () => {
    expect(endOf(0, false)).toBe(-21_000);
    expect(endOf(0, true)).toBe(0);
    expect([endOf(5_000, false), endOf(5_000, true)]).toEqual([5_000, 5_000]);
  });

  it("asks for a name whatever is in it", () => {
    expect(selector("m", { node: 'a"b\\' })).toBe('m{node="a\\"b\\\\"}');
    expect(selector("m", {})).toBe("m");
  });
});
