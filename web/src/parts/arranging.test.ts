import { describe, expect, it } from "vitest";
import { Arranger, sortable, type Wanted } from "./arranging";

interface Row {
  name: string;
  bad?: boolean;
}

const byName = (row: Row) => row.name;
const byLength = (row: Row) => row.name.length;
const wanted = (all: ReadonlyMap<string, Row>, more: Partial<Wanted<Row>> = {}): Wanted<Row> => ({
  all,
  only: "",
  by: byName,
  down: false,
  pinned: () => false,
  ...more,
});
const table = (...names: string[]) =>
  new Map<string, Row>(names.map((name) => [name, { name, bad: name.startsWith("bad") }]));
const arranger = (told: string[] = []) =>
  new Arranger<Row>(
    (row) => ({ tone: row.bad ? "bad" : "good", text: row.bad ? "failed" : "running", more: "" }),
    (row) => {
      told.push(row.name);
      return row.name;
    },
  );
const having = (word: string) => (_: Row, text: () => string) => text().includes(word);

describe("a list", () => {
  it("is sorted as people count, favourites first, and counts each state", () => {
    const all = table("Web-10", "web-9", "bad-1", "web-1");
    expect(arranger().arrange(wanted(all, { pinned: (row) => row.name === "web-9" }))).toEqual({
      ids: ["web-9", "bad-1", "web-1", "Web-10"],
      total: 4,
      states: [
        { text: "failed", tone: "bad", count: 1 },
        { text: "running", tone: "good", count: 3 },
      ],
    });
    expect(arranger().arrange(wanted(all, { down: true })).ids[0]).toBe("Web-10");
    expect(arranger().arrange(wanted(all, { only: "failed" })).ids).toEqual(["bad-1"]);
    expect(arranger().arrange(wanted(all, { by: undefined })).ids).toEqual([...all.keys()]);
    expect(["a9", "a10", "a-1", "b", "a1b2", "a1b10"].sort((a, b) => (sortable(a) < sortable(b) ? -1 : 1))).toEqual([
      "a-1",
      "a1b2",
      "a1b10",
      "a9",
      "a10",
      "b",
    ]);
  });

  it("is right whatever came, went, was renamed or was filtered away since it was sorted last", () => {
    const one = arranger();
    const all = table("c", "a", "b");
    expect(one.arrange(wanted(all)).ids).toEqual(["a", "b", "c"]);
    expect(one.arrange(wanted(all, { matches: (row) => row.name !== "b" })).ids).toEqual(["a", "c"]);
    all.delete("a");
    all.set("0", { name: "0" });
    all.set("c", { name: "a5", bad: true });
    const shown = one.arrange(wanted(all));
    expect(shown.ids).toEqual(["0", "c", "b"]);
    expect(shown.total).toBe(3);
    expect(shown.states[0]).toMatchObject({ text: "failed", count: 1 });
    expect(one.arrange(wanted(all, { by: byLength })).ids).toEqual(["0", "b", "c"]);
    all.set("a", { name: "a" });
    expect(one.arrange(wanted(all, { matches: having("a") })).ids).toEqual(["a", "c"]);
  });

  it("is sorted anew by what changes though rows do not", () => {
    const use = new Map([
      ["a", 1],
      ["b", 2],
    ]);
    const by = (row: Row) => use.get(row.name) ?? 0;
    const one = arranger();
    const all = table("a", "b");
    expect(one.arrange(wanted(all, { by, live: true })).ids).toEqual(["a", "b"]);
    use.set("a", 3);
    expect(one.arrange(wanted(all, { by, live: true, same: true })).ids).toEqual(["b", "a"]);
  });

  it("of many is looked at once, and its rows are not read again, however little has changed", () => {
    const told: string[] = [];
    const one = arranger(told);
    const size = 20_000;
    const all = new Map<string, Row>();
    for (let number = 0; number < size; number += 1) {
      const name = `web-${(number * 7919) % size}`;
      all.set(name, { name });
    }
    one.arrange(wanted(all, { matches: having("web") }));
    expect(one.compared).toBeGreaterThan(10 * size);
    expect(told).toHaveLength(size);
    all.set("web-new", { name: "web-new" });
    all.set("web-500", { name: "web-500", bad: true });
    const shown = one.arrange(wanted(all, { matches: having("web-") }));
    expect(shown.ids.at(-1)).toBe("web-new");
    expect(shown.states[0]).toMatchObject({ text: "failed", count: 1 });
    expect(told).toHaveLength(size + 2);
    expect(one.compared).toBeLessThan(2 * size);
  });
});
