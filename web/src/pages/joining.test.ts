import { expect, it } from "vitest";
import { isLoopback, WAYS } from "./joining";

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

it("tells an address that no other machine reaches from those that one may", () => {
  for (const name of ["localhost", "nexus.localhost", "127.0.0.1", "127.1.2.3", "[::1]"]) {
    expect([name, isLoopback(name)]).toEqual([name, true]);
  }
  for (const name of ["nexus.example", "localhost.example", "10.0.0.7", "127.example", "[fd00::1]"]) {
    expect([name, isLoopback(name)]).toEqual([name, false]);
  }
});
