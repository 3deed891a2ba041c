import { expect, it } from "vitest";
import { WAYS } from "./joining";

it("has one line for each kind of machine, whatever is in the address", () => {
  expect(WAYS.map((one) => one.title)).toEqual(["Linux", "macOS", "Container", "Chromebook"]);
  for (const way of WAYS) {
    const line = way.line("https://nexus.example:7400", "omt_x");
    expect(line).not.toContain("\n");
    expect(line).toContain("omt_x");
    expect(line).toContain("https://nexus.example:7400");
  }
});
