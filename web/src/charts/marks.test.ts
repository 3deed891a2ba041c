import { describe, expect, it } from "vitest";
import { type Mark, marksIn, markTextY } from "./marks";

const version = (atMs: number, text: string): Mark => ({ atMs, text, kind: "version" });
const start = (atMs: number, text: string): Mark => ({ atMs, text, kind: "start" });

describe("the marks of a chart", () => {
  it("marks what lies in sight, and says in one text what is nearer than texts are wide", () => {
    const marks = [version(900, "v1"), version(1500, "v3"), version(1450, "v2"), version(1800, "v4")];
    const wide = (text: string) => 6 * text.length;
    expect(marksIn(marks, 1000, 2000, 200, wide, 3)).toEqual([
      { marks: [marks[2], marks[1]], xs: [90, 100], x: 103, before: false, text: "v2, v3" },
      { marks: [marks[3]], xs: [160], x: 163, before: false, text: "v4" },
    ]);
  });

  it("never has one text on another, however many were deployed and wherever", () => {
    const wide = (text: string) => 6 * text.length;
    for (const apart of [1, 7, 13, 40, 90]) {
      const marks = Array.from({ length: 60 }, (_, at) => version(1000 + at * apart, `v${at + 1}`));
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
    const marks = Array.from({ length: 9 }, (_, at) => version(1500, `v${at + 1}`));
    expect(marksIn(marks, 1000, 2000, 900, () => 40, 3)[0]?.text).toBe("v1 … v9 (9)");
    const named = ["storefront v4", "catalog-api v9"].map((text) => version(1500, text));
    expect(marksIn(named, 1000, 2000, 300, (text) => 6 * text.length, 3)[0]?.text).toBe("2 versions");
    expect(marksIn([marks[0], marks[0]] as typeof marks, 1000, 2000, 900, () => 40, 3)[0]?.text).toBe("v1");
  });

  it("says of many that started at a place that they did, not that they were deployed", () => {
    const marks = ["storefront v4 starts", "catalog-api v9 starts"].map((text) => start(1500, text));
    expect(marksIn(marks, 1000, 2000, 300, (text) => 6 * text.length, 3)[0]?.text).toBe("2 starts");
    const more = ["a", "b", "c", "d"].map((name) => start(1500, `${name} v1 starts`));
    expect(marksIn(more, 1000, 2000, 9000, (text) => 6 * text.length, 3)[0]?.text).toBe("4 starts");
  });

  it("says of what is not all alike how many changes they are, and has each of them to be told", () => {
    const marks: Mark[] = [version(1500, "v12"), { atMs: 1501, text: "attempt 3", kind: "attempt" }];
    const at = (width: number) => marksIn(marks, 1000, 2000, width, (text) => 6 * text.length, 3)[0];
    expect(at(900)?.text).toBe("v12, attempt 3");
    expect(at(200)?.text).toBe("2 changes");
    expect(at(200)?.marks).toEqual(marks);
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
});
