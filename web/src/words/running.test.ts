import { expect, test } from "vitest";
import { ranOf, runningWords, surplusOf } from "./running";

test.each([
  [400, 401, "400 of 400 running, 1 more until it is stopped"],
  [400, 403, "400 of 400 running, 3 more until they are stopped"],
  [400, 400, "400 of 400 running"],
  [3, 1, "1 of 3 running"],
  [0, 2, "0 of 0 running, 2 more until they are stopped"],
])("of %i replicas %i run: %s", (replicas, running, words) => {
  expect(runningWords({ running, replicas })).toBe(words);
  expect(ranOf({ running, replicas }) + surplusOf({ running, replicas })).toBe(running);
});
