import { expect, test } from "vitest";
import { besideUnit } from "./beside";

const SCREEN = { width: 1_600, height: 1_000 };

test("what is told of a unit stands below its name, in the middle", () => {
  expect(besideUnit({ x: 800, y: 400 }, 200, SCREEN)).toEqual({ x: 650, y: 518 });
});

test("it stands beside the unit where there is no room below", () => {
  expect(besideUnit({ x: 800, y: 700 }, 200, SCREEN)).toEqual({ x: 900, y: 484 });
});

test("it is whole in sight, wherever the unit is, as far as there is room at all", () => {
  for (const x of [-50, 10, 800, 1_590, 1_700]) {
    for (const y of [-50, 10, 500, 990, 1_100]) {
      const at = besideUnit({ x, y }, 120, SCREEN);
      expect(at.x).toBeGreaterThanOrEqual(12);
      expect(at.x + 300).toBeLessThanOrEqual(SCREEN.width - 12);
      expect(at.y + 432).toBeLessThanOrEqual(SCREEN.height - 12);
    }
  }
  expect(besideUnit({ x: 100, y: 100 }, 120, { width: 200, height: 200 })).toEqual({ x: 12, y: 12 });
});
