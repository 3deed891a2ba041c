import { expect, test } from "vitest";
import { fitting } from "./fitting";

const column = (id: string, width: number, rank: number) => ({ id, width, rank });
const AGENTS = [
  column("name", 150, 0),
  column("state", 150, 0),
  column("replicas", 84, 0),
  column("use", 132, 2),
  column("line", 88, 2),
  column("version", 70, 3),
  column("age", 92, 1),
];
const shown = (width: number) => fitting(AGENTS, width).map(({ id }) => id);

test("those that must be there are, however narrow it is", () => {
  expect(shown(100)).toEqual(["name", "state", "replicas"]);
});

test("no room is left over that a column would fit into, also of a rank of which not all have room", () => {
  expect(shown(772)).toEqual(["name", "state", "replicas", "use", "age"]);
  expect(shown(700)).toEqual(["name", "state", "replicas", "line", "age"]);
});

test("a column of a lower rank has its room before one of a higher", () => {
  expect(shown(556)).toEqual(["name", "state", "replicas", "age"]);
  expect(shown(555)).toEqual(["name", "state", "replicas", "line"]);
});

test("all are there where all have room, to the pixel", () => {
  const all = AGENTS.reduce((sum, { width }) => sum + width + 16, 16);
  expect(shown(all)).toHaveLength(AGENTS.length);
  expect(shown(all - 1)).toHaveLength(AGENTS.length - 1);
});
