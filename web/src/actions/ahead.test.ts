import { expect, it } from "vitest";
import { forgetAhead, keepAhead, takeAhead } from "./ahead";

const press = (key: string, ctrlKey = false) => keepAhead({ key, ctrlKey, metaKey: false, altKey: false });

it("keeps what is typed as a field would have it, once", () => {
  for (const key of ["w", "e", "x", "Backspace", "b", " ", "ü", "ArrowDown", "Enter"]) expect(press(key)).toBe(true);
  expect(press("k", true)).toBe(false);
  expect(press("Shift")).toBe(false);
  expect(press("Escape")).toBe(false);
  expect(takeAhead()).toEqual({ text: "web ü", others: ["ArrowDown", "Enter"] });
  expect(takeAhead()).toEqual({ text: "", others: [] });
});

it("keeps so many and no more, and forgets them where the palette is given up", () => {
  for (let count = 0; count < 300; count += 1) press("a");
  expect(takeAhead().text).toHaveLength(200);
  press("a");
  forgetAhead();
  expect(takeAhead().text).toBe("");
});
