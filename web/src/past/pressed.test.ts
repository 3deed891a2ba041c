import { expect, it } from "vitest";
import { Pressed } from "./pressed";

function steps(last = 100) {
  const open: (() => void)[] = [];
  let at = 0;
  const pressed = new Pressed(async (by) => {
    await new Promise<void>((done) => open.push(done));
    at += by;
    return at < last;
  });
  const finish = async (done: Promise<unknown>) => {
    let ended = false;
    void done.then(() => {
      ended = true;
    });
    while (!ended) {
      open.shift()?.();
      await Promise.resolve();
    }
    return at;
  };
  return { pressed, finish };
}

it("counts each press, however quick", async () => {
  const { pressed, finish } = steps();
  const first = pressed.take(1);
  for (let press = 0; press < 4; press += 1) void pressed.take(1);
  expect(await finish(first)).toBe(5);
});

it("takes one back for each press the other way", async () => {
  const { pressed, finish } = steps();
  const first = pressed.take(1);
  void pressed.take(1);
  void pressed.take(1);
  void pressed.take(-1);
  expect(await finish(first)).toBe(2);
});

it("ends with a key that is let go, and with what there is", async () => {
  const held = steps();
  const first = held.pressed.take(1);
  for (let repeat = 0; repeat < 20; repeat += 1) void held.pressed.take(1, true);
  expect(await held.finish(first)).toBe(1);
  const { pressed, finish } = steps(2);
  const all = pressed.take(1);
  for (let press = 0; press < 9; press += 1) void pressed.take(1);
  expect(await finish(all)).toBe(2);
  expect(await finish(pressed.take(-1))).toBe(1);
});
