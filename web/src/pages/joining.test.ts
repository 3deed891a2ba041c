import { expect, it } from "vitest";
import { leadsToItself, WAYS } from "./joining";

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
  const own = (address: string) => [address, leadsToItself(new URL(`https://${address}:7400`).hostname)];
  for (const name of ["localhost", "LOCALHOST.", "nexus.localhost", "nexus.localhost.", "127.0.0.1", "127.1.2.3"]) {
    expect(own(name)).toEqual([name, true]);
  }
  for (const name of ["127.1", "127.0.0.1.", "0x7f.1", "2130706433", "0.0.0.0", "0"]) {
    expect(own(name)).toEqual([name, true]);
  }
  for (const name of ["[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:127.9.8.7]", "[::ffff:0.0.0.0]", "[0:0::1]"]) {
    expect(own(name)).toEqual([name, true]);
  }
  for (const name of ["nexus.example", "localhost.example", "notlocalhost", "127.example", "10.0.0.7", "128.0.0.1"]) {
    expect(own(name)).toEqual([name, false]);
  }
  for (const name of ["[fd00::1]", "[::2]", "[::11]", "[1::]", "[::ffff:10.0.0.7]", "[::ffff:127]", "[7f00::1]"]) {
    expect(own(name)).toEqual([name, false]);
  }
});
