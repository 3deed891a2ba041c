import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { keysAt, knownAt, type Schema, schemaAt, valuesAt } from "./schema";

const root = JSON.parse(readFileSync("../docs/reference/agent.schema.json", "utf8")) as Schema;

describe("the schema of an agent", () => {
  it("knows the keys of every depth, what is required first", () => {
    const top = keysAt(root, []).map((one) => one.name);
    expect(top[0]).toBe("name");
    expect(top).toContain("command");
    expect(keysAt(root, ["resources"]).map((one) => one.name)).toEqual(["cpu", "memory"]);
    expect(keysAt(root, ["constraints", 0]).map((one) => one.name)).toContain("operator");
    expect(keysAt(root, ["ports", "http"]).map((one) => one.name)).toContain("port");
    expect(keysAt(root, ["container"]).map((one) => one.name)).toContain("image");
    expect(keysAt(root, ["nothing", "there"])).toEqual([]);
  });

  it("says of each what it is, and what it is by default", () => {
    expect(knownAt(root, ["resources", "memory"])).toMatchObject({
      type: "whole number or text",
      description: "A size: 64MiB, 2GB or bytes.",
      preset: "33554432",
    });
    expect(knownAt(root, ["environment", "ANY"])?.type).toBe("text");
    expect(knownAt(root, ["nothing"])).toBeUndefined();
  });

  it("knows the values that there are", () => {
    expect(valuesAt(root, ["placement"])).toEqual(["pack", "spread"]);
    expect(valuesAt(root, ["needs", "db"])).toEqual(["completed", "ready", "started"]);
    expect(valuesAt(root, ["sandbox", "network"])).toEqual(["true", "false"]);
    expect(valuesAt(root, ["name"])).toEqual([]);
  });

  it("is asked a bounded way down", () => {
    expect(schemaAt({ $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/A" } } }, [])).toBeUndefined();
  });
});
