import { describe, expect, it } from "vitest";
import { countedDown } from "./counting";

describe("a wait that Nexus told of", () => {
  it("becomes shorter as time goes on, and comes to its end", () => {
    const said = "waits to be restarted on vm: attempt 3 ended with exit code 1; the next comes in 4.8 s";
    expect(countedDown(said, 0)).toMatch(/exit code 1; the next comes in 5 s$/);
    expect(countedDown(said, 2000)).toMatch(/the next comes in 3 s$/);
    expect(countedDown(said, 4800)).toMatch(/the next comes at any moment$/);
    const long = "ended with exit code 7; tried again in 3 m 20 s. Fits now on 1 of 1 node";
    expect(countedDown(long, 21_000)).toBe("ended with exit code 7; tried again in 2 m 59 s. Fits now on 1 of 1 node");
    expect(countedDown("the next comes in 800 ms", 100)).toBe("the next comes in 1 s");
  });

  it("leaves all else as it was said", () => {
    const said = "runs on vm for 12 s, attempt 4; the next comes at any moment";
    expect(countedDown(said, 60_000)).toBe(said);
  });
});
