import { expect, it } from "vitest";
import { type Concern, isGrave, MOST_CONCERNS, type Placing, placed, verdictOf } from "./concerning";

const one = (subject: string, text: string): Concern => ({ subject, text, hint: "", since_ms: 0 });
const lines = ({ places }: Placing) =>
  [...places.values()].map(({ concern, over }) => `${concern.subject}: ${over ? "over" : concern.text}`);

it("none of several about one thing is lost", () => {
  const all = [one("node n", "dark"), one("node n", "full"), one("node n 1", "odd")];
  expect([...placed(all).places.values()].map(({ concern }) => concern)).toEqual(all);
});

it("of two about one thing each keeps its line: what goes on is not the one that is over", () => {
  const docker = "the driver docker does not work";
  const first = placed([one("node n", "not heard from for 3 s"), one("node n", docker)]);
  const then = placed([one("node n", docker)], first.places);
  expect(lines(then)).toEqual(["node n: over", `node n: ${docker}`]);
  const again = placed([one("node n", docker), one("node n", "not heard from for 1 m 3 s")], then.places);
  expect(lines(again)).toEqual(["node n: not heard from for 1 m 3 s", `node n: ${docker}`]);
  const other = placed([one("node n", docker), one("node n", "its disk is full")], first.places);
  expect(lines(other)).toEqual(["node n: its disk is full", `node n: ${docker}`]);
  const more = placed([one("node n", docker), one("node n", "its disk is full")], then.places);
  expect(lines(more)).toEqual(lines(then));
  expect(more.waiting.map(({ text }) => text)).toEqual(["its disk is full"]);
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
  expect(lines(placed([one("agent w", "failing"), one("node b", "dark")], over.places))).toEqual([
    "node b: dark",
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

it("what is about all of the fabric is the verdict, in sentences", () => {
  const dead = one("fabric", "no node is live: nothing runs that is known of; 19 pending wait for one");
  expect([isGrave(dead), isGrave(one("node fabric", "dark"))]).toEqual([true, false]);
  expect(verdictOf(dead)).toEqual({
    text: "No node is live",
    more: "Nothing runs that is known of; 19 pending wait for one.",
  });
});
