import { createRoot, createSignal } from "solid-js";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createSettled } from "./settled";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it("is what stays for a while, and not what is passed by", () => {
  const { say, settled, end } = createRoot((end) => {
    const [said, say] = createSignal("");
    return { say, end, settled: createSettled(said, 350) };
  });
  for (const passed of ["a", "b", "c"]) {
    say(passed);
    vi.advanceTimersByTime(349);
    expect(settled()).toBe("");
  }
  vi.advanceTimersByTime(1);
  expect(settled()).toBe("c");
  // The next is looked at: the one before stays until it has settled.
  say("d");
  vi.advanceTimersByTime(349);
  expect(settled()).toBe("c");
  vi.advanceTimersByTime(1);
  expect(settled()).toBe("d");
  say("");
  expect(settled()).toBe("");
  say("e");
  say("");
  vi.advanceTimersByTime(1000);
  expect(settled()).toBe("");
  say("f");
  end();
  vi.advanceTimersByTime(1000);
  expect(settled()).toBe("");
});
