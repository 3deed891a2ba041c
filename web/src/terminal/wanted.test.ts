import { afterEach, expect, test, vi } from "vitest";
import { HELD_MS, holdKeys, isHeld, takeHeld, takeWanted, wantTerminal } from "./wanted";

const key = (name: string, more = {}) => ({ key: name, ctrlKey: false, metaKey: false, altKey: false, ...more });

afterEach(() => {
  takeHeld();
  vi.useRealTimers();
});

test("what is typed while a terminal opens is held for it, in order and once", () => {
  expect(isHeld(key("r"))).toBe(false);
  wantTerminal("one");
  for (const name of ["r", "m", "Backspace", " ", "Enter"]) expect(isHeld(key(name))).toBe(true);
  expect(takeWanted("one")).toBe(true);
  expect(takeHeld()).toBe("rm\x7f \r");
  expect(isHeld(key("r"))).toBe(false);
  expect(takeHeld()).toBe("");
});

test("keys with others held down, and keys that no program reads, are not", () => {
  holdKeys();
  expect(isHeld(key("k", { ctrlKey: true }))).toBe(false);
  expect(isHeld(key("Shift"))).toBe(false);
  expect(takeHeld()).toBe("");
});

test("Escape lets go, and so does another terminal, and time", () => {
  vi.useFakeTimers();
  wantTerminal("one");
  isHeld(key("r"));
  expect(isHeld(key("Escape"))).toBe(true);
  expect(isHeld(key("r"))).toBe(false);
  wantTerminal("one");
  isHeld(key("r"));
  expect(takeWanted("another")).toBe(false);
  expect(isHeld(key("r"))).toBe(false);
  wantTerminal("one");
  isHeld(key("r"));
  vi.advanceTimersByTime(HELD_MS);
  expect(isHeld(key("r"))).toBe(false);
  expect(takeHeld()).toBe("");
});
