import { expect, it } from "vitest";
import { WAYS } from "./joining";

it("has one line for each kind of machine, whatever is in the address", () => {
  expect(WAYS.map((one) => one.title)).toEqual(["Linux", "macOS", "Container", "Chromebook"]);
  for (const way of WAYS) {
    const line = way.line("https://nexus.example:7400", "omt_x");
    expect(line).not.toContain("\n");
    expect(line).toContain("omt_x");
    expect(line).toContain("https://nexus.example:7400");
    // Arguments are shown to everybody on that machine; what a shell reads and what it sets are not.
    const asking = way.asking("https://nexus.example:7400");
    expect(asking).not.toContain("\n");
    expect(asking).toContain("https://nexus.example:7400");
    expect(line.replace(/^echo omt_x \||^OMNITIDE_JOIN_TOKEN=omt_x /, "")).not.toContain("omt_x");
  }
});
