import { expect, it } from "vitest";
import type { Instance } from "../api/types";
import { endedAs, instanceState } from "./states";
import { overWords, tallyOf } from "./tally";

const one = (status: string, kind = "agent") =>
  ({ kind, status, condition: status, last_status: status }) as unknown as Instance;
const all = ["running", "pending", "failed", "running", "stopped"].map((status) => one(status));

it("a tally's states add up to what there is, and what has ended is one more", () => {
  const found = tallyOf(all, instanceState, endedAs);
  expect(found.there).toBe(3);
  expect(found.states).toEqual([
    { tone: "wait", text: "pending", count: 1 },
    { tone: "good", text: "running", count: 2 },
  ]);
  expect(found.ended).toBe(2);
});

it("a replica that failed for good or was lost is told as that, the worst first; a job's has ended", () => {
  const over = (some: Instance[]) => tallyOf(some, instanceState, endedAs).over;
  expect(over([one("stopped"), one("lost"), one("failed"), one("succeeded"), one("failed", "job")])).toEqual([
    { tone: "bad", text: "failed", count: 1 },
    { tone: "bad", text: "lost", count: 1 },
    { tone: "off", text: "ended", count: 3 },
  ]);
  expect(overWords(over([one("failed"), one("stopped"), one("stopped")]))).toBe(", and 1 failed, 2 ended");
  expect(overWords(over([one("stopped")]))).toBe(", and 1 that ended");
  expect(overWords(over([one("running")]))).toBe("");
});

it("a tally of what does not end has all of it in its states, the worst first", () => {
  const found = tallyOf(all, instanceState);
  expect([found.there, found.ended]).toEqual([5, 0]);
  expect(found.states.map(({ text }) => text)).toEqual(["failed", "pending", "running", "stopped"]);
});
