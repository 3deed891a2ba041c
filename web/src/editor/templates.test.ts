import { describe, expect, it } from "vitest";
import { template } from "./templates";

describe("what a new agent begins with", () => {
  it("has a name that none has", () => {
    expect(template("yaml", new Set())).toContain("name: hello\n");
    expect(template("toml", new Set(["hello"]))).toContain('name = "hello-2"\n');
    expect(template("yaml", new Set(["hello", "hello-2", "web"]))).toContain("name: hello-3\n");
  });

  it("takes its port as the examples do", () => {
    for (const form of ["yaml", "toml"] as const) expect(template(form, new Set())).toContain(`"\${PORT_HTTP}"`);
  });
});
