import { describe, expect, it } from "vitest";
import { Unclosed, words } from "./words";

describe("a command that is typed", () => {
  it("is words as a shell sees them", () => {
    expect(words("ls -l  /tmp")).toEqual(["ls", "-l", "/tmp"]);
    expect(words(`sh -c 'echo "a b"' ""`)).toEqual(["sh", "-c", 'echo "a b"', ""]);
    expect(words('a\\ b "c\\"d\\e"')).toEqual(["a b", 'c"d\\e']);
    expect(words("$HOME `id` *")).toEqual(["$HOME", "`id`", "*"]);
    expect(words("  ")).toEqual([]);
  });

  it("with a quote that is open is none yet", () => {
    expect(() => words("echo 'a")).toThrow(Unclosed);
  });
});
