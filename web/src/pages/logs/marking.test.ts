import { describe, expect, it } from "vitest";
import { pieces } from "./ansi";
import { finder, marked } from "./marking";

const found = (text: string, grep: string, more: { regex?: boolean; exact?: boolean } = {}) =>
  marked(pieces(text), finder({ grep, regex: false, exact: false, ...more }))
    .filter((one) => one.found)
    .map((one) => one.text);

describe("what was searched for", () => {
  it("is marked wherever it stands in a line, and nothing is lost", () => {
    expect(found("error: Error (errors)", "error")).toEqual(["error", "Error", "error"]);
    expect(found("a.b axb [a.b]", "a.b")).toEqual(["a.b", "a.b"]);
    expect(found("GET /a 200 GET /b 500", "GET /\\w (2|5)00", { regex: true })).toEqual(["GET /a 200", "GET /b 500"]);
    expect(found("Error error", "error", { exact: true })).toEqual(["error"]);
    const line = "one two one";
    expect(
      marked(pieces(line), finder({ grep: "one", regex: false, exact: false }))
        .map((one) => one.text)
        .join(""),
    ).toBe(line);
  });

  it("is marked though its colour changes within it", () => {
    const parts = marked(pieces("un\u001b[31mre\u001b[0mady"), finder({ grep: "unready", regex: false, exact: false }));
    expect(parts.filter((one) => one.found).map((one) => one.text)).toEqual(["un", "re", "ady"]);
  });

  it("is marked nowhere by an expression that could hold up the page", () => {
    const line = `${"a".repeat(40)}!`;
    for (const slow of ["(a+)+$", "(a|a)*$", "(aa?){30}$", "a*a*a*b"]) {
      expect(found(line, slow, { regex: true }), slow).toEqual([]);
      expect(finder({ grep: slow, regex: true, exact: false }), slow).toBeUndefined();
    }
    expect(found("took 120 ms", "\\d+ ms", { regex: true })).toEqual(["120 ms"]);
  });

  it("is marked nowhere where the expression cannot be read here", () => {
    expect(found("(", "(", { regex: true })).toEqual([]);
    expect(found("aaa", "x*", { regex: true })).toEqual([]);
  });
});
