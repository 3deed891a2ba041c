import { expect, it } from "vitest";
import { Pressed, type Step } from "./pressed";

/** Between 0 and `last`; none is taken before they are released. */
function steps({ last = 100, from = 0 } = {}) {
  let release = () => {};
  const gate = new Promise<void>((open) => {
    release = open;
  });
  const tried: number[] = [];
  let at = from;
  const pressed = new Pressed(async (by): Promise<Step> => {
    tried.push(by);
    await gate;
    if (at + by < 0 || at + by > last) return "end";
    at += by;
    return "taken";
  });
  const released = async (doing: Promise<void>) => {
    release();
    await doing;
    return at;
  };
  return { pressed, released, tried };
}

it("counts each press, however quick", async () => {
  const { pressed, released } = steps();
  const first = pressed.take(1);
  for (let press = 0; press < 4; press += 1) void pressed.take(1);
  expect(await released(first)).toBe(5);
});

it("takes one back for each press the other way", async () => {
  const { pressed, released } = steps();
  const first = pressed.take(1);
  void pressed.take(1);
  void pressed.take(1);
  void pressed.take(-1);
  expect(await released(first)).toBe(2);
});

it("goes back from an end as often as it is pressed, however often it was pressed there before", async () => {
  const { pressed, released, tried } = steps({ last: 10, from: 10 });
  const first = pressed.take(1);
  void pressed.take(1);
  void pressed.take(-1);
  void pressed.take(-1);
  expect(await released(first)).toBe(8);
  expect(tried).toEqual([1, -1, -1]);
});

it("ends with a key that is let go, and with what there is", async () => {
  const held = steps();
  const first = held.pressed.take(1);
  for (let repeat = 0; repeat < 20; repeat += 1) void held.pressed.take(1, true);
  expect(await held.released(first)).toBe(1);
  const { pressed, released } = steps({ last: 2 });
  const all = pressed.take(1);
  for (let press = 0; press < 9; press += 1) void pressed.take(1);
  expect(await released(all)).toBe(2);
  expect(await released(pressed.take(-1))).toBe(1);
});

it("forgets the rest where somebody has gone elsewhere, and what failed", async () => {
  const tried: number[] = [];
  let result: Step | Error = "elsewhere";
  const pressed = new Pressed(async (by) => {
    tried.push(by);
    await Promise.resolve();
    if (result instanceof Error) throw result;
    return result;
  });
  const first = pressed.take(1);
  void pressed.take(-1);
  await first;
  expect(tried).toEqual([1]);
  result = new Error("not now");
  const second = pressed.take(1);
  void pressed.take(1);
  await expect(second).rejects.toThrow("not now");
  expect(tried).toEqual([1, 1]);
});
