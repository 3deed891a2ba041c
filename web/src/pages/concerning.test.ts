import { expect, it } from "vitest";
import { byKey, type Concern } from "./concerning";

const one = (subject: string, text: string): Concern => ({ subject, text, hint: "", since_ms: 0 });

it("what is about the same thing has the same key, whatever it says of it and wherever it stands", () => {
  const before = [...byKey([one("agent a", "failing (1)"), one("node n", "dark")]).keys()];
  const after = [...byKey([one("node n", "dark"), one("agent a", "failing (2)")]).keys()];
  expect(after).toEqual([before[1], before[0]]);
});

it("none of several about one thing is lost", () => {
  const all = [one("node n", "dark"), one("node n", "full"), one("1 node n", "odd")];
  expect([...byKey(all).values()]).toEqual(all);
});
