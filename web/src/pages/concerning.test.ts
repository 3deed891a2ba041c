import { expect, it } from "vitest";
import { byKey, type Concern, MOST_CONCERNS, type Placing, placed } from "./concerning";

const one = (subject: string, text: string): Concern => ({ subject, text, hint: "", since_ms: 0 });
const lines = ({ places }: Placing) =>
  [...places.values()].map(({ concern, over }) => `${concern.subject}: ${over ? "over" : concern.text}`);

it("what is about the same thing has the same key, whatever it says of it and wherever it stands", () => {
  const before = [...byKey([one("agent a", "failing (1)"), one("node n", "dark")]).keys()];
  const after = [...byKey([one("node n", "dark"), one("agent a", "failing (2)")]).keys()];
  expect(after).toEqual([before[1], before[0]]);
});

it("none of several about one thing is lost", () => {
  const all = [one("node n", "dark"), one("node n", "full"), one("1 node n", "odd")];
  expect([...byKey(all).values()]).toEqual(all);
});

it("while somebody reads a line keeps its place, one that is over too, and what comes waits", () => {
  const first = placed([one("node b", "dark"), one("agent w", "failing (1)")]);
  const then = placed([one("node a", "dark"), one("agent w", "failing (2)")], first.places);
  expect(lines(then)).toEqual(["node b: over", "agent w: failing (2)"]);
  expect(then.waiting.map((waits) => waits.subject)).toEqual(["node a"]);
});

it("what is over and comes again is in its place again", () => {
  const first = placed([one("node b", "dark"), one("agent w", "failing")]);
  const over = placed([one("agent w", "failing")], first.places);
  expect(lines(placed([one("agent w", "failing"), one("node b", "dark again")], over.places))).toEqual([
    "node b: dark again",
    "agent w: failing",
  ]);
});

it("when nobody reads it is as Nexus tells it", () => {
  const now = [one("node a", "dark"), one("agent w", "failing")];
  expect(lines(placed(now))).toEqual(["node a: dark", "agent w: failing"]);
  expect(placed(now).waiting).toEqual([]);
});

it("what more pressing ones have displaced is not over", () => {
  const first = placed([one("node z", "dark")]);
  const many = Array.from({ length: MOST_CONCERNS }, (_, at) => one(`node ${at}`, "dark"));
  expect(lines(placed(many, first.places))).toEqual(["node z: dark"]);
});
