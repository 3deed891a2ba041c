import { describe, expect, it } from "vitest";
import { toCsv } from "./exported";
import { matches, parseFilter } from "./filter";
import { usesOf } from "./use";

const FIELDS = { node: (row: { node: string }) => row.node, driver: () => "docker process" };
const pass = (text: string, node: string) =>
  matches(parseFilter(text, Object.keys(FIELDS)), { node }, () => `web ${node}`, FIELDS);

describe("a filter", () => {
  it("takes words that must all be there", () => {
    expect(pass("WEB alp", "alpha")).toBe(true);
    expect(pass("web beta", "alpha")).toBe(false);
  });

  it("takes conditions on a field, by its beginning, and their contrary", () => {
    expect(pass("node:al", "alpha")).toBe(true);
    expect(pass("node:pha", "alpha")).toBe(false);
    expect(pass("-node:alpha", "alpha")).toBe(false);
    expect(pass("-node:beta web", "alpha")).toBe(true);
    expect(pass("driver:process", "alpha")).toBe(true);
    expect(pass("node:", "alpha")).toBe(true);
  });

  it("takes a colon in a name for what it is", () => {
    expect(parseFilter("image:latest", ["node"])).toEqual({ words: ["image:latest"], conditions: [] });
  });
});

describe("an export", () => {
  it("quotes what has to be and lets no spreadsheet take text for a formula", () => {
    const rows = [
      { name: 'a "b", c', cpu: -5, labels: { x: "y" } },
      { name: "=HYPERLINK()", cpu: 2, node: "alpha" },
    ];
    expect(toCsv(rows)).toBe('name,cpu,node\r\n"a ""b"", c",-5,\r\n\'=HYPERLINK(),2,alpha\r\n');
  });
});

describe("the use of rows", () => {
  it("is what is known of each, with the gaps that there are, up to now", () => {
    const found = {
      start_ms: 10_000,
      step_ms: 5_000,
      items: [{ id: "a", cpu_milli: [null, 40, null, 80], memory_bytes: [7, 8, 9, null], instances: 2 }],
      revision: 3,
    };
    expect(usesOf(found)).toEqual(
      new Map([
        ["a", { cpuMilli: 80, memoryBytes: 9, atMs: 30_000, at: [20_000, 30_000], cpu: [40, 80], instances: 2 }],
      ]),
    );
  });
});
