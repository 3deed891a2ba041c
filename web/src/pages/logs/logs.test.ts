import { describe, expect, it } from "vitest";
import type { OutputLine } from "../../api/types";
import { pieces, plain } from "./ansi";
import { commandOf, logsHref, momentOf, namesOf, queryOf, subjectsIn } from "./asked";
import { Seen } from "./follow";
import { Lines, LONGEST } from "./lines";

const line = (name: string, at_ms: number, text: string, more: Partial<OutputLine> = {}) =>
  ({ name, instance: name, at_ms, node_at_ms: at_ms, text, stream: "stdout", node: "n", ...more }) as OutputLine;
const texts = (lines: Lines) => lines.all.map((one) => `${one.who} ${one.text}`);

describe("output of many", () => {
  it("is merged by when it was written", () => {
    const lines = new Lines();
    for (const one of [line("a", 10, "one"), line("a", 30, "three"), line("b", 20, "two")]) lines.take(one);
    expect(texts(lines)).toEqual(["a one", "b two", "a three"]);
  });

  it("keeps one instance's order though its clock went back", () => {
    const lines = new Lines();
    for (const one of [line("a", 30, "first"), line("a", 10, "second")]) lines.take(one);
    expect(texts(lines)).toEqual(["a first", "a second"]);
  });

  it("is bounded in lines and in their length", () => {
    const lines = new Lines(100);
    for (let index = 0; index < 500; index += 1) lines.take(line("a", index, `${index}`));
    expect(lines.all.length).toBeLessThanOrEqual(110);
    expect(lines.dropped + lines.all.length).toBe(500);
    lines.take(line("b", 900, "x".repeat(LONGEST * 2)));
    expect(lines.all.at(-1)?.text.length).toBe(LONGEST + 1);
  });

  it("goes on after a break without a line twice, however alike they are", () => {
    const seen = new Seen();
    const same = line("a", 5, "same");
    expect([same, same, line("a", 6, "x")].map((one) => seen.isNew(one))).toEqual([true, true, true]);
    seen.repeat();
    expect([same, same, same, line("a", 6, "x"), line("a", 7, "y")].map((one) => seen.isNew(one))).toEqual([
      false,
      false,
      true,
      false,
      true,
    ]);
    expect(seen.newestMs).toBe(7);
  });
});

describe("what is asked", () => {
  const nowMs = new Date(2026, 10, 26, 14, 4).getTime();
  const asked = { of: ["agent:shop/web", "node:alpha"], grep: "", regex: false, exact: false, since: "", until: "" };

  it("is a time of the day, how long ago or a date, by the zone of who asks", () => {
    expect(momentOf("10m", nowMs)).toBe("10m");
    expect(momentOf("14:03", nowMs)).toBe(new Date(2026, 10, 26, 14, 3).toISOString());
    expect(momentOf("14:05:30", nowMs)).toBe(new Date(2026, 10, 25, 14, 5, 30).toISOString());
    expect(momentOf("2026-11-01 08:00", nowMs)).toBe(new Date(2026, 10, 1, 8).toISOString());
    expect(momentOf("2026-11-01T08:00:00Z", nowMs)).toBe("2026-11-01T08:00:00.000Z");
    for (const wrong of ["25:00", "soon", "10", "2026-13-01"]) expect(momentOf(wrong, nowMs)).toBeUndefined();
  });

  it("is the same in the address, in the question and as a command", () => {
    expect(logsHref(asked.of)).toBe("/logs?of=agent%3Ashop%2Fweb,node%3Aalpha");
    expect(subjectsIn("agent:a,,agent:a,node:b")).toEqual(["agent:a", "node:b"]);
    expect(subjectsIn(["shop/web,node:b", "web"])).toEqual(["agent:shop/web", "node:b", "agent:web"]);
    expect(namesOf(["agent:a", "agent:b", "agent:c", "agent:d", "agent:e"])).toBe("a, b, c and 2 more");
    const full = { ...asked, grep: "a b", regex: true, since: "10m", until: "never" };
    expect(queryOf(full, nowMs).toString()).toBe(
      "of=agent%3Ashop%2Fweb%2Cnode%3Aalpha&since=10m&grep=a+b&regex=true&ignore_case=true",
    );
    expect(commandOf({ ...full, until: "14:05" })).toBe(
      "omnitide logs shop/web node:alpha --since 10m --until 14:05 --grep 'a b' --regex --ignore-case",
    );
    expect(commandOf(asked)).toBe("omnitide logs shop/web node:alpha --follow");
  });
});

describe("what was written for a terminal", () => {
  it("keeps its colours", () => {
    expect(pieces("\u001b[1;31mbad\u001b[0m fine")).toEqual([
      { text: "bad", look: "ansi-red ansi-bold" },
      { text: " fine", look: "" },
    ]);
    expect(pieces("\u001b[38;5;196mx\u001b[38;2;1;2;3my")).toEqual([
      { text: "x", look: "" },
      { text: "y", look: "" },
    ]);
  });

  it("does nothing else: no title, no cursor, no turned text", () => {
    expect(plain("\u001b]0;title\u0007a\u001b[2Jb\u001b[1;1Hc")).toBe("abc");
    expect(plain("\u001b]52;c;aGFja2Vk\u001b\\x")).toBe("x");
    expect(plain("a\u202eb\u0000")).toBe("a\\u202eb\\u0000");
    expect(plain("10 %\r50 %")).toBe("50 %");
    expect(plain("<script>")).toBe("<script>");
    expect(plain("\u001b")).toBe("\\u001b");
  });
});
