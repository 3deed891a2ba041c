import { expect, it } from "vitest";
import type { Instance } from "../api/types";
import { hasEnded, instanceState } from "./states";
import { tallyOf } from "./tally";

const all = ["running", "pending", "failed", "running", "stopped"].map(
  (status) => ({ status, condition: status, last_status: status }) as Instance,
);

it("a tally's states add up to what there is, and what has ended is one more", () => {
  const found = tallyOf(all, instanceState, hasEnded);
  expect(found.there).toBe(3);
  expect(found.states).toEqual([
    { tone: "wait", text: "pending", count: 1 },
    { tone: "good", text: "running", count: 2 },
  ]);
  expect(found.ended).toBe(2);
});

it("a tally of what does not end has all of it in its states, the worst first", () => {
  const found = tallyOf(all, instanceState);
  expect([found.there, found.ended]).toEqual([5, 0]);
  expect(found.states.map(({ text }) => text)).toEqual(["failed", "pending", "running", "stopped"]);
});
