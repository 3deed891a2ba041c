import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { complete, toldOf } from "./completing";
import type { Form } from "./lines";
import type { Schema } from "./schema";

const root = JSON.parse(readFileSync("../docs/reference/agent.schema.json", "utf8")) as Schema;

function options(text: string, form: Form, explicit = true) {
  const offset = text.indexOf("¦");
  return complete(root, text.replace("¦", ""), offset, form, explicit)?.options ?? [];
}

describe("completion", () => {
  it("offers what may stand there and does not yet", () => {
    expect(options("name: a\nresources:\n  cpu: 1\n  ¦", "yaml").map((one) => one.apply)).toEqual(["memory: "]);
    expect(options("name: a\n¦", "yaml").map((one) => one.label)).not.toContain("name");
    expect(options("res¦", "yaml").find((one) => one.label === "resources")?.apply).toBe("resources:");
    expect(options("[res¦", "toml").find((one) => one.label === "resources")?.apply).toBe("resources");
    expect(options("limits = { ¦", "toml").find((one) => one.label === "memory")?.apply).toBe("memory = ");
  });

  it("offers the values that there are, as the language writes them", () => {
    expect(options("placement: ¦", "yaml").map((one) => one.apply)).toEqual(["pack", "spread"]);
    expect(options("placement = ¦", "toml").map((one) => one.apply)).toEqual(['"pack"', '"spread"']);
    expect(options("command: ¦", "yaml")).toEqual([]);
  });

  it("does not come unasked before anything is typed", () => {
    expect(options("¦", "yaml", false)).toEqual([]);
    expect(options("na¦", "yaml", false)[0]?.detail).toBe("text, required");
  });

  it("tells what is under the pointer", () => {
    const text = "name: a\nresources:\n  memory: 1\n";
    const told = toldOf(root, text, text.indexOf("mory"), "yaml");
    expect(told?.lines).toEqual([
      "memory",
      "whole number or text",
      "A size: 64MiB, 2GB or bytes.",
      "If left out: 33554432.",
    ]);
    expect(text.slice(told?.from, told?.to)).toBe("memory:");
    expect(toldOf(root, text, text.indexOf("1"), "yaml")).toBeUndefined();
  });
});
