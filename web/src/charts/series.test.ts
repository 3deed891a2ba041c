import { describe, expect, it } from "vitest";
import type { MetricAnswer } from "../api/types";
import { axisOf, coresUsed, endOf, linesOf, lone, marksIn, markTextY, newest, selector } from "./series";

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

  it("marks what lies in sight, and says in one text what is nearer than texts are wide", () => {
    const marks = [
      { atMs: 900, text: "v1" },
      { atMs: 1500, text: "v3" },
      { atMs: 1450, text: "v2" },
      { atMs: 1800, text: "v4" },
    ];
    const wide = (text: string) => 6 * text.length;
    expect(marksIn(marks, 1000, 2000, 200, wide, 3)).toEqual([
      { xs: [90, 100], x: 103, before: false, text: "v2, v3" },
      { xs: [160], x: 163, before: false, text: "v4" },
    ]);
  });

  it("never has one text on another, however many were deployed and wherever", () => {
    const wide = (text: string) => 6 * text.length;
    for (const apart of [1, 7, 13, 40, 90]) {
      const marks = Array.from({ length: 60 }, (_, at) => ({ atMs: 1000 + at * apart, text: `v${at + 1}` }));
      const found = marksIn(marks, 1000, 2000, 300, wide, 3);
      const inSight = marks.filter(({ atMs }) => atMs <= 2000);
      expect(found.flatMap(({ xs }) => xs).length).toBe(inSight.length);
      let end = -1;
      for (const { x, text, before } of found) {
        const from = before ? x - wide(text) : x;
        expect(from).toBeGreaterThan(end);
        end = from + wide(text);
        expect(end).toBeLessThanOrEqual(300);
      }
    }
  });

  it("says of many by how many they are", () => {
    const marks = Array.from({ length: 9 }, (_, at) => ({ atMs: 1500, text: `v${at + 1}` }));
    expect(marksIn(marks, 1000, 2000, 900, () => 40, 3)[0]?.text).toBe("v1 … v9 (9)");
    const named = ["storefront v4", "catalog-api v9"].map((text) => ({ atMs: 1500, text }));
    expect(marksIn(named, 1000, 2000, 300, (text) => 6 * text.length, 3)[0]?.text).toBe("2 versions");
    expect(marksIn([marks[0], marks[0]] as typeof marks, 1000, 2000, 900, () => 40, 3)[0]?.text).toBe("v1");
  });

  it("says of many that started at a place that they did, not that they were deployed", () => {
    const marks = ["storefront v4 starts", "catalog-api v9 starts"].map((text) => ({ atMs: 1500, text }));
    expect(marksIn(marks, 1000, 2000, 300, (text) => 6 * text.length, 3)[0]?.text).toBe("2 starts");
  });

  it("has the text of marks never on the line of the most there can be", () => {
    for (const dense of [1, 2]) {
      expect(markTextY(20, undefined, dense)).toBe(20 + 9 * dense);
      for (let line = 20; line < 80; line += 1) {
        const middle = markTextY(20, line, dense);
        expect(Math.abs(line - middle)).toBeGreaterThanOrEqual(7 * dense);
        expect(middle).toBeLessThan(20 + 24 * dense);
      }
    }
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
