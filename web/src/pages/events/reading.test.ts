import { createRoot } from "solid-js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createReading } from "./reading";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function list() {
  return createRoot((end) => ({ ...createReading(), end }));
}

const left = (pointerType: string) => ({ pointerType }) as PointerEvent;

test("a finger that is put down reads though it does not move, and its press finds the list as it was", () => {
  const { reading, within, end } = list();
  within.onPointerDown();
  expect(reading()).toBe(true);
  // Lifted: a browser tells that it has left before it tells of the press.
  within.onPointerLeave(left("touch"));
  vi.advanceTimersByTime(500);
  expect(reading()).toBe(true);
  vi.advanceTimersByTime(1_000);
  expect(reading()).toBe(false);
  end();
});

test("a finger that is put down again goes on reading", () => {
  const { reading, within, end } = list();
  within.onPointerDown();
  within.onPointerLeave(left("touch"));
  within.onPointerDown();
  vi.advanceTimersByTime(10_000);
  expect(reading()).toBe(true);
  end();
});

test("a mouse reads while it is moved there, and no longer once it has left", () => {
  const { reading, within, end } = list();
  expect(reading()).toBe(false);
  within.onPointerMove();
  expect(reading()).toBe(true);
  within.onPointerLeave(left("mouse"));
  expect(reading()).toBe(false);
  end();
});
