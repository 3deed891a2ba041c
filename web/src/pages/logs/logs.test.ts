import { describe, expect, it } from "vitest";
import type { LogChunk } from "../../api/types";
import { pieces, plain } from "./ansi";
import { Lines, LONGEST } from "./lines";

const chunk = (at_ms: number, text: string, more: Partial<LogChunk> = {}) =>
  ({ at_ms, text, stream: "stdout", attempt: 1, position: "", gap: false, ...more }) as LogChunk;
const texts = (lines: Lines) => lines.all.map((one) => `${one.who} ${one.text}`);

describe("output of many", () => {
  it("is merged by when it was written", () => {
    const lines = new Lines();
    lines.take("a", chunk(10, "one\n"));
    lines.take("a", chunk(30, "three\n"));
    lines.take("b", chunk(20, "two\n"));
    expect(texts(lines)).toEqual(["a one", "b two", "a three"]);
  });

  it("keeps one instance's order though its clock went back", () => {
    const lines = new Lines();
    lines.take("a", chunk(30, "first\n"));
    lines.take("a", chunk(10, "second\n"));
    expect(texts(lines)).toEqual(["a first", "a second"]);
  });

  it("puts lines together that come in pieces, each stream on its own", () => {
    const lines = new Lines();
    lines.take("a", chunk(1, "hel"));
    lines.take("a", chunk(2, "oh no\n", { stream: "stderr" }));
    lines.take("a", chunk(3, "lo\nand"));
    expect(texts(lines)).toEqual(["a hello", "a oh no"]);
    lines.end("a");
    expect(texts(lines)).toEqual(["a hello", "a oh no", "a and"]);
  });

  it("says where something is missing", () => {
    const lines = new Lines();
    lines.take("a", chunk(5, "later\n", { gap: true }));
    expect(lines.all.map((one) => one.stream)).toEqual(["note", "stdout"]);
  });

  it("is bounded in lines and in their length", () => {
    const lines = new Lines(100);
    for (let index = 0; index < 500; index += 1) lines.take("a", chunk(index, `${index}\n`));
    expect(lines.all.length).toBeLessThanOrEqual(110);
    expect(lines.all.at(-1)?.text).toBe("499");
    expect(lines.dropped + lines.all.length).toBe(500);
    lines.take("b", chunk(900, "x".repeat(LONGEST * 2 + 5)));
    lines.end("b");
    expect(lines.all.filter((one) => one.who === "b").map((one) => one.text.length)).toEqual([LONGEST, LONGEST, 5]);
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
