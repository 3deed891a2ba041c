import { describe, expect, it } from "vitest";
import type { MetricAnswer } from "../api/types";
import { linesOf, marksIn, newest, selector } from "./series";

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

  it("marks what lies in sight, and makes one of those that lie on each other", () => {
    const marks = [
      { atMs: 900, text: "v1" },
      { atMs: 1500, text: "v3" },
      { atMs: 1499, text: "v2" },
      { atMs: 1900, text: "v4" },
    ];
    expect(marksIn(marks, 1000, 2000, 100)).toEqual([
      { x: 49.9, texts: ["v2", "v3"] },
      { x: 90, texts: ["v4"] },
    ]);
  });

  it("asks for a name whatever is in it", () => {
    expect(selector("m", { node: 'a"b\\' })).toBe('m{node="a\\"b\\\\"}');
    expect(selector("m", {})).toBe("m");
  });
});
