import { expect, it } from "vitest";
import type { Load } from "../state/model";
import { lately } from "./nodeUse";
import type { Use } from "./use";

const told: Load = { cpuMilli: 9, memoryBytes: 1, atMs: 40_000, at: [30_000, 35_000, 40_000], cpu: [7, 8, 9] };
const kept: Use = {
  cpuMilli: 6,
  memoryBytes: 1,
  atMs: 35_000,
  at: [10_000, 20_000, 30_000],
  cpu: [1, 2, 6],
  instances: 1,
};

it("a node's line goes back to before the page was opened, and up to now", () => {
  expect(lately(kept, told)).toMatchObject({
    atMs: 40_000,
    at: [10_000, 20_000, 30_000, 35_000, 40_000],
    cpu: [1, 2, 6, 8, 9],
  });
  expect(lately(undefined, told)).toBe(told);
  expect(lately(kept, undefined)).toBe(kept);
  expect(lately(kept, { ...told, at: [20_000], cpu: [3] })?.cpu).toEqual([1, 2, 6]);
});
