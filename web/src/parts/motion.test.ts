import { afterEach, describe, expect, it } from "vitest";
import { motionOff, moves, setMotionOff } from "./motion";

describe("motion", () => {
  afterEach(() => setMotionOff(false));

  it("is switched off here, whatever the system asks for, and on again", () => {
    expect(moves()).toBe(true);
    setMotionOff(true);
    expect([motionOff(), moves()]).toEqual([true, false]);
    setMotionOff(false);
    expect(moves()).toBe(true);
  });
});
