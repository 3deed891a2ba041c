import { describe, expect, it } from "vitest";
import { toCsv } from "./exported";
import { labelWords, matches, parseFilter, unknownFields } from "./filter";
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

describe("a filter that finds nothing", () => {
  const said = (text: string, fields = ["driver", "label", "status"]) =>
    unknownFields(parseFilter(text, fields), fields);

  it("says which field there is not, which there are, and how a label is written", () => {
    expect(said("zone:lab")).toBe(
      "There is no field zone here. Fields are driver, label and status; a label is written zone=lab.",
    );
    expect(said("alpha -namespace:shop status:live")).toBe(
      "There is no field namespace here. Fields are driver, label and status; a label is written namespace=shop.",
    );
    expect(said("foo:bar zone:", ["node"])).toBe("There are no fields foo and zone here. The only field is node.");
    expect(said("topology.kubernetes.io/zone:lab")).toContain("written topology.kubernetes.io/zone=lab.");
  });

  it("says nothing of fields that there are, of words, labels and addresses", () => {
    for (const text of ["", "alpha", "status:live", "zone=lab", "zone=lab:2", "fe80::1", "10.0.0.1:80", ":x"])
      expect(said(text), text).toBe("");
  });
});

describe("a label", () => {
  const has = (text: string) =>
    matches(parseFilter(text, ["label"]), { zone: "Lab", tier: "" }, () => "", { label: labelWords });

  it("is found by its key, by its value, and by both", () => {
    for (const text of ["label:lab", "label:la", "label:zone", "label:zone=lab", "label:tier", "-label:attic"])
      expect(has(text), text).toBe(true);
    for (const text of ["label:attic", "label:zone=attic", "-label:lab", "-label:zone"])
      expect(has(text), text).toBe(false);
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
