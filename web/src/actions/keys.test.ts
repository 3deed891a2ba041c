import { describe, expect, it } from "vitest";
import { ariaKey, meaning, PLACES, shownKey } from "./keys";

const press = (key: string, more = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, ...more });

describe("a key", () => {
  it("opens the palette even in a field, and by either modifier", () => {
    expect(meaning(press("k", { ctrlKey: true }), true, false, false)).toEqual({ kind: "palette" });
    expect(meaning(press("K", { metaKey: true }), false, false, true)).toEqual({ kind: "palette" });
  });

  it("is text in a field, and nothing where single keys are off or a modifier is held", () => {
    expect(meaning(press("s"), true, false, true)).toBeUndefined();
    expect(meaning(press("s"), false, false, false)).toBeUndefined();
    expect(meaning(press("s", { ctrlKey: true }), false, false, true)).toBeUndefined();
  });

  it("behind g goes to a page, and alone acts", () => {
    expect(meaning(press("n"), false, true, true)).toEqual({ kind: "go", href: "/nodes" });
    expect(meaning(press("n"), false, false, true)).toEqual({ kind: "action", key: "n" });
    expect(new Set(PLACES.map((one) => one.key)).size).toBe(PLACES.length);
  });

  it("is written as it stands on the keyboard, and with Shift where that is meant", () => {
    expect(["d", "D", "?", "g n"].map(shownKey)).toEqual(["D", "Shift+D", "?", "G N"]);
    expect(["d", "D", "?"].map(ariaKey)).toEqual(["d", "Shift+D", "?"]);
  });
});
