import { describe, expect, it } from "vitest";
import type { AgentVersion } from "../api/types";
import { usualWay, waysBack } from "./waysBack";

const version = (number: number, spec: object, current = false): AgentVersion => ({
  number,
  current,
  spec: spec as AgentVersion["spec"],
  reason: "updated",
  principal: "token:admin",
  by: "",
  created_ms: number,
  fault: "",
  source: 0,
  cause: "",
  differences: [],
  proven: true,
});
const ways = (...versions: AgentVersion[]) => waysBack(versions).map((one) => one.number);

describe("the ways back", () => {
  it("leave out the newest, and what has its spec, which Nexus refuses", () => {
    const old = { command: ["a"], env: { one: "1", two: "2" } };
    const again = { env: { two: "2", one: "1" }, command: ["a"] };
    expect(ways(version(4, again, true), version(3, { command: ["b"] }), version(2, old), version(1, {}))).toEqual([
      3, 1,
    ]);
  });

  it("tell apart what is shorter, longer, of another kind or another order", () => {
    const newest = version(9, { command: ["a", "b"], env: { a: "1" }, labels: {} }, true);
    const others = [
      { command: ["b", "a"], env: { a: "1" }, labels: {} },
      { command: ["a"], env: { a: "1" }, labels: {} },
      { command: ["a", "b"], env: { b: "1" }, labels: {} },
      { command: ["a", "b"], env: { a: "1" }, labels: [] },
      { command: ["a", "b"], env: { a: "1" }, labels: null },
    ];
    expect(ways(newest, ...others.map((spec, place) => version(8 - place, spec)))).toEqual([8, 7, 6, 5, 4]);
  });

  it("have one that is taken where none is named: the newest that is known to work", () => {
    const unproven = { ...version(3, { command: ["c"] }), proven: false };
    expect(usualWay([unproven, version(2, {}), version(1, { command: ["a"] })])?.number).toBe(2);
    expect(usualWay([unproven])).toBeUndefined();
  });

  it("are none where there is one version, and wait for the newest", () => {
    expect(ways(version(1, {}, true))).toEqual([]);
    expect(ways()).toEqual([]);
  });
});
