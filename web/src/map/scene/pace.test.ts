import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pace, settled } from "./pace";

/** A card that has done what it was told when `done` says so. */
function card() {
  const told = { done: false, fences: 0, lost: false };
  const gl = {
    SYNC_GPU_COMMANDS_COMPLETE: 1,
    SYNC_STATUS: 2,
    SIGNALED: 3,
    fenceSync: () => {
      told.fences += 1;
      return {};
    },
    deleteSync: () => {
      told.fences -= 1;
    },
    flush: () => {},
    getSyncParameter: () => (told.done ? 3 : 0),
  };
  return { told, lost: () => told.lost, gl: gl as unknown as WebGL2RenderingContext };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("a card is settled once it has done what it was told, and not before", async () => {
  const { told, gl, lost } = card();
  let settledNow = false;
  void settled(gl, lost).then(() => {
    settledNow = true;
  });
  await vi.advanceTimersByTimeAsync(100 * Pace.POLL_MS);
  expect(settledNow).toBe(false);
  told.done = true;
  await vi.advanceTimersByTimeAsync(Pace.POLL_MS);
  expect(settledNow).toBe(true);
  expect(told.fences, "none is left behind").toBe(0);
});

test("for a context that was lost nobody waits", async () => {
  const { told, gl, lost } = card();
  let settledNow = false;
  void settled(gl, lost).then(() => {
    settledNow = true;
  });
  await vi.advanceTimersByTimeAsync(10 * Pace.POLL_MS);
  expect(settledNow).toBe(false);
  told.lost = true;
  await vi.advanceTimersByTimeAsync(Pace.POLL_MS);
  expect(settledNow).toBe(true);
});

test("for a card that never has done what it was told nobody waits for ever", async () => {
  const { gl, lost } = card();
  let settledNow = false;
  void settled(gl, lost).then(() => {
    settledNow = true;
  });
  await vi.advanceTimersByTimeAsync(3_000);
  expect(settledNow).toBe(true);
});
