import { describe, expect, it } from "vitest";
import type { Node } from "../../api/types";
import { fitted } from "./camera";
import { LOT, meets } from "./geometry";
import { chooseLabel, gridOf, type Layout, layOut, lotsIn, NOWHERE, shifted } from "./layout";
import { chance, node } from "./sample";

function many(count: number, zones: number): Node[] {
  return Array.from({ length: count }, (_, at) => node(`n${at}`, { labels: { zone: `z${at % zones}` } }));
}

function table(nodes: readonly Node[]): Map<string, Node> {
  return new Map(nodes.map((one) => [one.id, one]));
}

function places(layout: Layout): Record<string, [number, number]> {
  return Object.fromEntries([...layout.lotOf].map(([id, lot]) => [id, [lot.x, lot.y]]));
}

describe("the layout", () => {
  it("is the same for the same nodes, in whatever order they come", () => {
    const nodes = many(97, 5);
    const random = chance(7);
    const mixed = [...nodes].sort(() => random() - 0.5);
    expect(layOut(table(mixed), "zone")).toEqual(layOut(table(nodes), "zone"));
  });

  it("gives every node a lot of its own, in districts that do not touch", () => {
    const layout = layOut(table(many(1000, 9)), "zone");
    expect(layout.lotOf.size).toBe(1000);
    expect(new Set(Object.values(places(layout)).map(String)).size).toBe(1000);
    const boxes = [layout.yard, ...layout.districts.map((district) => district.box)];
    boxes.forEach((one, at) => {
      for (const other of boxes.slice(at + 1)) expect(meets(one, other)).toBe(false);
    });
  });

  it("moves nobody when a node joins where there is a lot, and those after one that leaves", () => {
    const nodes = many(40, 3);
    const before = layOut(table(nodes), "zone");
    const joined = layOut(table([...nodes, node("n99", { labels: { zone: "z1" } })]), "zone");
    expect(places(joined)).toMatchObject(places(before));
    const left = layOut(table(nodes.filter(({ id }) => id !== "n30")), "zone");
    const { n30: _, n33, n36, n39, ...others } = places(before);
    expect(places(left)).toMatchObject(others);
    expect(places(left)).toMatchObject({ n33: places(before).n30, n36: n33, n39: n36 });
    expect(n39).toBeDefined();
  });

  it("tells how far the node in the middle of what is seen went, of those that are still there", () => {
    const nodes = many(40, 3);
    const before = layOut(table(nodes), "zone");
    const left = layOut(table(nodes.filter(({ id }) => id !== "n0" && id !== "n30")), "zone");
    const place = (layout: Layout, id: string) => layout.lotOf.get(id) ?? { x: Number.NaN, y: Number.NaN };
    for (const [middle, went] of [
      ["n33", "n33"],
      ["n1", "n1"],
      ["n30", ["n27", "n33"]],
    ] as const) {
      const at = place(before, middle);
      const by = shifted(before, left, {
        x: at.x - 150,
        y: at.y - 100,
        width: 300 + LOT.width,
        height: 200 + LOT.height,
      });
      const ways = [went].flat().map((id) => {
        const [was, is] = [place(before, id), place(left, id)];
        return { x: is.x - was.x, y: is.y - was.y };
      });
      expect(ways).toContainEqual(by);
    }
    const at = place(before, "n1");
    const wide = { x: at.x - 3_000, y: at.y - 3_000, width: 6_000, height: 6_000 };
    const was = place(before, "n39");
    const is = place(left, "n39");
    expect(shifted(before, left, wide, new Set(["n0", "n39"]))).toEqual({ x: is.x - was.x, y: is.y - was.y });
    expect(shifted(before, left, { x: -9_000, y: 0, width: 10, height: 10 })).toEqual({ x: 0, y: 0 });
  });

  it("is made anew when a district has outgrown its ground", () => {
    const before = layOut(table(many(6, 1)), "zone");
    const after = layOut(table(many(7, 1)), "zone");
    expect(after.districts[0]?.lots.length).toBeGreaterThan(before.districts[0]?.lots.length ?? 0);
  });

  it("is nearer on a phone that is held upright where it is laid out for that", () => {
    const screen = { width: 360, height: 608 };
    for (const [count, zones] of [
      [60, 9],
      [200, 9],
      [200, 1],
      [1000, 9],
    ] as const) {
      const nodes = table(many(count, zones));
      const [wide, narrow] = [layOut(nodes, "zone"), layOut(nodes, "zone", true)];
      expect(fitted(narrow.box, screen).zoom).toBeGreaterThan(1.2 * fitted(wide.box, screen).zoom);
      const boxes = [narrow.yard, ...narrow.districts.map((district) => district.box)];
      boxes.forEach((one, at) => {
        for (const other of boxes.slice(at + 1)) expect(meets(one, other)).toBe(false);
      });
    }
  });

  it("has hardly any ground where nobody stands, in districts that are no strips", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 26].map((nodes) => gridOf(nodes))).toEqual([
      [2, 1],
      [2, 1],
      [3, 1],
      [2, 2],
      [3, 2],
      [3, 2],
      [4, 2],
      [4, 2],
      [3, 3],
      [4, 3],
      [7, 4],
    ]);
    for (let nodes = 2; nodes <= 1_000; nodes += 1) {
      const [columns, rows] = gridOf(nodes);
      expect(columns * rows).toBeGreaterThanOrEqual(nodes);
      expect(columns * rows - nodes).toBeLessThan(columns);
      if (nodes > 3) expect(columns / rows).toBeLessThanOrEqual(2.5);
      expect(columns / rows).toBeGreaterThanOrEqual(0.75);
    }
  });

  it("keeps those without the label together, after all others", () => {
    const layout = layOut(table([node("n1", { labels: {} }), node("n2")]), "zone");
    expect(layout.districts.map((district) => district.name)).toEqual(["one", NOWHERE]);
  });

  it("is made by the usual label that tells nodes apart", () => {
    expect(chooseLabel(many(4, 2))).toBe("zone");
    const told = [
      node("n1", { labels: { zone: "a", region: "x" } }),
      node("n2", { labels: { zone: "a", region: "y" } }),
    ];
    expect(chooseLabel(told)).toBe("region");
    expect(chooseLabel([])).toBe("zone");
  });

  it("finds the lots of a box as one that looks through all of them", () => {
    const layout = layOut(table(many(97, 5)), "zone");
    const random = chance(3);
    for (let step = 0; step < 200; step += 1) {
      const { x, y, width, height } = layout.box;
      const box = {
        x: x + (random() * 1.4 - 0.2) * width,
        y: y + (random() * 1.4 - 0.2) * height,
        width: 1 + random() * 900,
        height: 1 + random() * 600,
      };
      const looked = [...layout.lotOf].filter(([, lot]) => meets(box, { ...lot, ...LOT })).map(([id]) => id);
      expect(new Set(lotsIn(layout, box))).toEqual(new Set(looked));
    }
  });
});
