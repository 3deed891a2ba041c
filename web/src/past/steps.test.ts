import { expect, it } from "vitest";
import type { CloudEvent } from "../api/types";
import { Trail } from "./steps";

const NEVER = new AbortController().signal;
const BOOKKEEPING = [3, 4, 7];

/** A log of an event each revision, of which some are of no interest, that gives `page` of them at a time. */
function log({ last = 20, page = 8 } = {}) {
  const asked: string[] = [];
  const event = (revision: number) =>
    ({
      revision,
      type: BOOKKEEPING.includes(revision) ? "omnitide.node.reported.v1" : "omnitide.agent.scaled.v1",
    }) as CloudEvent;
  const between = (from: number, to: number) =>
    Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => event(from + at));
  const trail = new Trail(
    async (revision) => {
      asked.push(`before ${revision}`);
      const from = Math.max(1, revision - page);
      return { events: between(from, revision - 1), complete: from <= 1 };
    },
    async (after) => {
      asked.push(`after ${after}`);
      const to = Math.min(last, after + page);
      return { items: between(after + 1, to), more: to < last, next_after: to, next_skip: 0, revision: last };
    },
  );
  return { trail, asked };
}

async function walk(of: Trail, from: number, by: 1 | -1, steps: number): Promise<number[]> {
  const seen: number[] = [];
  for (let at = from; seen.length < steps && at; ) {
    at = await (by > 0 ? of.after(at, NEVER) : of.before(at, NEVER));
    seen.push(at);
  }
  return seen;
}

it("asks once for all steps of an answer, there and back", async () => {
  const { trail, asked } = log();
  expect(await walk(trail, 19, -1, 7)).toEqual([18, 17, 16, 15, 14, 13, 12]);
  expect(await walk(trail, 12, 1, 5)).toEqual([13, 14, 15, 16, 17]);
  expect(asked).toEqual(["before 19"]);
});

it("goes on where the answer ends, passes by what is of no interest, and ends at the first", async () => {
  const { trail, asked } = log();
  expect(await walk(trail, 12, -1, 20)).toEqual([11, 10, 9, 8, 6, 5, 2, 1, 0]);
  expect(asked.slice(0, 2)).toEqual(["before 12", "before 5"]);
});

it("says that nothing has happened since, and asks again: by then something may have", async () => {
  const { trail, asked } = log({ last: 12 });
  expect(await walk(trail, 2, 1, 20)).toEqual([5, 6, 8, 9, 10, 11, 12, 0]);
  expect(await trail.after(12, NEVER)).toBe(0);
  expect(asked.filter((one) => one === "after 12")).toHaveLength(2);
});

it("knows of no step between two answers that do not border on one another", async () => {
  const { trail, asked } = log({ last: 100, page: 4 });
  await trail.before(50, NEVER);
  expect(await trail.before(20, NEVER)).toBe(19);
  expect(await trail.before(50, NEVER)).toBe(49);
  expect(await trail.after(19, NEVER)).toBe(20);
  expect(asked).toEqual(["before 50", "before 20", "before 50", "after 19"]);
});
