import { describe, expect, it } from "vitest";
import { along, fitted, levelOf, pan, seen, showing, toMap, toolsOf, toScreen, zoomAt } from "./camera";
import { advance, type City, emptyCity } from "./city";
import { frontLight, HOT, legend, nodeColour, shapeOf, unitColour, usedOf, versionsOf, windowsLit } from "./colours";
import { wrapped } from "./fitting";
import { between, buildingOf, holds } from "./geometry";
import { choose, NOTHING, readGroups, recalled, saved, still } from "./groups";
import { inBox, lookedAt, neighbour, nextDistrict, pick } from "./pick";
import { inWords, marking, refusalAt, refusalsOf, shortened } from "./refusals";
import { instance, node, sight } from "./sample";
import { GRIDS, gridFor, MOST, Slots, spotOf } from "./slots";

const SCREEN = { width: 1200, height: 800 };

function town(): City {
  const nodes = Array.from({ length: 9 }, (_, at) => node(`n${at}`, { labels: { zone: at < 6 ? "a" : "b" } }));
  const city = emptyCity("zone");
  advance(city, sight(nodes, [instance("i1", "n0"), instance("i2", "n0"), instance("i3", "n7"), instance("p1", "")]));
  return city;
}

function buildingBox(city: City, id: string) {
  const building = city.buildings.get(id);
  if (!building) throw new Error(id);
  return buildingOf(building.lot, building.size);
}

describe("the camera", () => {
  it("shows the whole of what is fitted, and back and forth is the same place", () => {
    const box = { x: -50, y: 20, width: 4_000, height: 900 };
    const camera = fitted(box, SCREEN);
    const view = seen(camera, SCREEN);
    expect(holds(view, box) && holds(view, { x: box.x + box.width, y: box.y + box.height })).toBe(true);
    const at = { x: 17, y: 600 };
    const back = toScreen(camera, SCREEN, toMap(camera, SCREEN, at));
    expect(back.x).toBeCloseTo(at.x);
    expect(back.y).toBeCloseTo(at.y);
  });

  it("leaves all of a phone's width to the map, and the row of tools above it free", () => {
    const phone = { width: 360, height: 580 };
    const box = { x: 0, y: 0, width: 1_000, height: 600 };
    const camera = fitted(box, phone);
    expect(camera.zoom).toBeCloseTo(0.344);
    const high = { ...box, height: 9_000 };
    expect(toScreen(fitted(high, phone), phone, high).y).toBeGreaterThanOrEqual(toolsOf(phone).height);
    // One at the edge of what is fitted is seen: nothing moves for it.
    const corner = { x: 0, y: 0, width: 60, height: 60 };
    expect(showing(camera, corner, phone, { right: 0, bottom: 150 })).toBe(camera);
  });

  it("keeps what is below the pointer there", () => {
    const camera = { x: 10, y: 20, zoom: 0.4 };
    const at = { x: 900, y: 100 };
    const nearer = zoomAt(camera, SCREEN, at, 3);
    expect(nearer.zoom).toBeCloseTo(1.2);
    expect(toMap(nearer, SCREEN, at).x).toBeCloseTo(toMap(camera, SCREEN, at).x);
    expect(zoomAt(camera, SCREEN, at, 1e9).zoom).toBe(14);
  });

  it("never loses the map, and ends a flight where it was to end", () => {
    const map = { x: 0, y: 0, width: 100, height: 100 };
    expect(pan({ x: 50, y: 50, zoom: 1 }, 9_999, -9_999, map)).toEqual({ x: 0, y: 100, zoom: 1 });
    const to = { x: 5, y: 6, zoom: 2 };
    expect(along({ x: 0, y: 0, zoom: 1 }, to, 1)).toEqual(to);
    expect(along({ x: 0, y: 0, zoom: 2 }, to, 0.5)).toEqual({ x: 2.5, y: 3, zoom: 2 });
  });

  it("shows more, the nearer it is", () => {
    expect([0.1, 1, 5].map(levelOf)).toEqual(["far", "middle", "near"]);
  });
});

describe("places on a roof", () => {
  it("follow from who is there: by workload and slot, jobs after agents, one that takes another's place beside it", () => {
    const job = { kind: "job", workload: "batch" } as const;
    const all = [
      instance("i1", "n1", { slot: 2 }),
      instance("i2", "n1", { slot: 1 }),
      instance("i3", "n1", { slot: 1, generation: 2 }),
      instance("i4", "n1", job),
      instance("i5", "n1", { workload: "api", slot: 10 }),
      instance("i6", "n1", { workload: "api", slot: 9 }),
      instance("i7", "n1", { namespace: "a", workload: "zoo" }),
    ];
    const slots = new Slots();
    for (const one of [...all].reverse()) slots.take([one]);
    expect([...slots.ids()]).toEqual(["i7", "i6", "i5", "i2", "i3", "i1", "i4"]);
    slots.leave("i2");
    expect([slots.size, slots.at(3), slots.has("i2")]).toEqual([6, "i3", false]);
    slots.leave("i3");
    slots.take(all.slice(1, 3));
    expect([...slots.ids()]).toEqual(["i7", "i6", "i5", "i2", "i3", "i1", "i4"]);
  });

  it("lie within it, each its own, however many", () => {
    const deck = { x: 0, y: 0, width: 94, height: 40 };
    for (const [columns, rows] of GRIDS) {
      const grid = gridFor(columns * rows);
      const found = Array.from({ length: columns * rows }, (_, slot) => spotOf(deck, grid, slot));
      expect(found.every((spot) => spot && holds(deck, spot))).toBe(true);
      expect(new Set(found.map((spot) => `${spot?.x} ${spot?.y}`)).size).toBe(columns * rows);
    }
    expect(spotOf(deck, gridFor(9_999), MOST)).toBeUndefined();
  });
});

describe("pointing", () => {
  it("finds the instance, the node, the district and Nexus where they are drawn", () => {
    const city = town();
    const spot = city.units.get("i2")?.spot;
    expect(spot && pick(city, spot, 2)).toEqual({ kind: "instance", id: "i2" });
    expect(spot && pick(city, spot, 0.1)).toEqual({ kind: "node", id: "n0" });
    const box = buildingBox(city, "n7");
    expect(pick(city, { x: box.x + 2, y: box.y + 2 }, 2)).toEqual({ kind: "node", id: "n7" });
    const district = city.layout.districts[0];
    expect(district && pick(city, { x: district.box.x + 1, y: district.box.y + 1 }, 1)).toEqual({
      kind: "district",
      index: 0,
    });
    const waiting = city.units.get("p1")?.spot;
    expect(waiting && pick(city, waiting, 0.1)).toEqual({ kind: "instance", id: "p1" });
    expect(pick(city, { x: -5_000, y: 0 }, 1)).toBeUndefined();
  });

  it("selects nodes by a box from afar, and instances near by", () => {
    const city = town();
    const all = between({ x: city.layout.box.x, y: 0 }, { x: 9_000, y: 9_000 });
    expect(inBox(city, all, false).nodes.size).toBe(9);
    expect(inBox(city, all, false).instances.size).toBe(0);
    expect([...inBox(city, buildingBox(city, "n0"), true).instances].sort()).toEqual(["i1", "i2"]);
    expect([...inBox(city, buildingBox(city, "n3"), true).nodes]).toEqual(["n3"]);
  });

  it("goes by arrows to the neighbour and by districts to the next", () => {
    const city = town();
    expect(neighbour(city, "n0", "right")).toBe("n1");
    expect(neighbour(city, "n0", "down")).toBe("n3");
    expect(neighbour(city, "n0", "left")).toBeUndefined();
    expect(nextDistrict(city, "n1", 1)).toBe("n6");
    expect(nextDistrict(city, "n6", 1)).toBe("n0");
    expect(nextDistrict(city, "", 1)).toBe("n0");
  });
});

describe("selections and groups", () => {
  const some = { nodes: new Set(["n1"]), instances: new Set(["i1"]) };

  it("take the place of each other, or add up, and let go what is chosen again", () => {
    const other = { nodes: new Set(["n2"]), instances: new Set<string>() };
    expect(choose(some, other, false)).toBe(other);
    expect([...choose(some, other, true).nodes]).toEqual(["n1", "n2"]);
    expect([...choose(choose(some, other, true), other, true).nodes]).toEqual(["n1"]);
  });

  it("lose what is no more, and are the same where all is", () => {
    expect(
      still(
        some,
        () => true,
        () => true,
      ),
    ).toBe(some);
    expect(
      still(
        some,
        () => false,
        () => true,
      ).nodes.size,
    ).toBe(0);
  });

  it("are saved by number and recalled, and nothing else is taken for one", () => {
    const groups = saved({}, "3", some);
    expect(recalled(readGroups(JSON.stringify(groups)), "3")).toEqual(some);
    expect(saved(groups, "3", NOTHING)).toEqual({});
    for (const text of [
      null,
      "no",
      "[]",
      '{"3":1}',
      '{"x":{"nodes":[],"instances":[]}}',
      '{"3":{"nodes":[1],"instances":[]}}',
    ]) {
      expect(readGroups(text)).toEqual({});
    }
  });
});

describe("colours", () => {
  it("answer each question", () => {
    const city = town();
    const building = city.buildings.get("n0");
    const unit = city.units.get("i1");
    if (!building || !unit) throw new Error("no town");
    const half = { cpuMilli: 4_000, memoryBytes: 0 };
    expect(nodeColour("health", building, half, [])).toBe("plain");
    expect(nodeColour("load", building, half, [])).toBe("scale-4");
    expect(nodeColour("load", building, undefined, [])).toBe("blind");
    expect(nodeColour("load", { ...building, dark: true }, half, [])).toBe("blind");
    const reserved = { ...building, node: node("n0", { reserved_memory_bytes: 1 << 30 }) };
    expect(nodeColour("spare", reserved, half, [])).toBe("scale-7");
    expect(unitColour("health", unit)).toBe("tone-good");
    expect(unitColour("version", { ...unit, old: true })).toBe("tone-wait");
    expect(unitColour("driver", unit)).toBe("kind-0");
    expect(unitColour("load", unit)).toBe("plain");
  });

  it("have a shape for each driver, and are counted", () => {
    expect(["process", "docker", "wasm", "sandbox", "qemu"].map(shapeOf)).toEqual([
      "process",
      "docker",
      "wasm",
      "sandbox",
      "other",
    ]);
    const city = town();
    expect(legend("health", city, []).map(({ text, count }) => [text, count])).toEqual([
      ["pending", 1],
      ["running", 3],
    ]);
    expect(legend("driver", city, [])).toEqual([{ colour: "kind-0", shape: "process", text: "process", count: 4 }]);
    expect(
      versionsOf([node("a", { software: "2" }), node("b", { software: "1" }), node("c", { software: "1" })]),
    ).toEqual(["1", "2"]);
    // As many have either: by name, whoever came first.
    const two = [node("a", { software: "2" }), node("b", { software: "1" })];
    for (const order of [two, [...two].reverse()]) expect(versionsOf(order)).toEqual(["1", "2"]);
  });
});

describe("light", () => {
  it("is none of what uses nothing, and more of whoever uses more, by night above all", () => {
    for (const night of [false, true]) {
      expect(frontLight(0, night)).toBe(0);
      const shares = [0.01, 0.1, 0.5, 0.9, 1].map((used) => frontLight(used, night));
      expect(shares).toEqual([...shares].sort((one, other) => one - other));
      // A little is seen from afar already, and full is not blinding.
      expect(shares[1]).toBeGreaterThan(0.1 * (shares.at(-1) ?? 0));
      expect(shares.at(-1)).toBeLessThanOrEqual(0.7);
    }
    expect(frontLight(0.5, true)).toBeGreaterThan(2 * frontLight(0.5, false));
  });

  it("is one window at least where anything is used, and all of them where all is", () => {
    expect([0, 0.001, 0.5, HOT, 1].map((used) => windowsLit(used, 20))).toEqual([0, 1, 10, 18, 20]);
  });

  it("is by whichever of processor and memory is used more", () => {
    const of = node("n1");
    expect(usedOf(of, { cpuMilli: 7_600, memoryBytes: 0 })).toBeGreaterThan(HOT);
    expect(usedOf(of, { cpuMilli: 0, memoryBytes: 1 << 29 })).toBeCloseTo(0.5);
  });
});

describe("refusals", () => {
  it("are words for each node", () => {
    const found = refusalsOf({
      instance: instance("p1", ""),
      text: "waits",
      revision: 1,
      placement: {
        verdict: "fits-when",
        text: "fits on none",
        revision: 1,
        table: [
          { node: "n1", name: "n1", fits: false, failures: [{ rule: "memory", need: "2 GiB", have: "1 GiB" }] },
          { node: "n2", name: "n2", fits: true },
        ],
      },
    } as Parameters<typeof refusalsOf>[0]);
    expect(found.text).toBe("fits on none");
    expect(found.nodes.get("n1")).toEqual(["memory: needs 2 GiB, has 1 GiB"]);
    expect(found.nodes.get("n2")).toEqual([]);
    expect(inWords({ rule: "driver", subject: "wasm" } as Parameters<typeof inWords>[0])).toBe("driver wasm");
  });

  it("are counted by what nodes are refused for, the one that most are first", () => {
    const memory = (have: string) => ({ rule: "memory", need: "2 GiB", have });
    const closed = { rule: "closed", need: "open", have: "cordoned" };
    const found = refusalsOf({
      instance: instance("p1", ""),
      text: "waits",
      placement: {
        nodes: 7,
        table: [
          { node: "n0", fits: true },
          { node: "n1", fits: false, failures: [memory("1 GiB")] },
          { node: "n2", fits: false, failures: [closed, memory("0.5 GiB")] },
          { node: "n3", fits: false, failures: [memory("1 GiB")] },
          { node: "n4", fits: false, failures: [closed] },
          { node: "n5", fits: false, failures: [{ rule: "driver", subject: "wasm", need: "wasm", have: "docker" }] },
        ],
      },
    } as unknown as Parameters<typeof refusalsOf>[0]);
    expect(found.reasons.map((one) => [one.text, one.nodes])).toEqual([
      ["memory: needs 2 GiB", 3],
      ["closed: needs open, has cordoned", 2],
      ["driver wasm: needs wasm, has docker", 1],
    ]);
    expect([found.told, found.all]).toEqual([6, 7]);
    const drawn = (shown = found) => ["n0", "n1", "n2", "n4", "n5", "n6"].map((id) => refusalAt(shown, id));
    expect(drawn()).toEqual(["tone-good", "tone-bad", "tone-bad", "tone-bad", "tone-bad", undefined]);
    // One of them marked: all that are refused for it, whatever else they are refused for, and no others.
    expect(drawn(marking(found, found.reasons[1]?.key ?? ""))).toEqual([
      undefined,
      undefined,
      "tone-bad",
      "tone-bad",
      undefined,
      undefined,
    ]);
    // It is no longer a reason when it is asked again: then all are.
    expect(drawn(marking(found, "gone"))).toEqual(drawn());
  });

  it("are said whole below a node or shorter, and never cut in the middle", () => {
    const reasons = ["constraint gpu in (yes): needs gpu in (yes), has none", "closed: needs open, has drained"];
    expect(shortened(reasons)).toEqual([
      reasons.join("; "),
      "constraint gpu in (yes); closed",
      "constraint gpu in (yes) +1",
      "constraint…",
    ]);
    expect(shortened(["closed"]).at(-1)).toBe("closed");
    const width = (text: string) => text.length;
    expect(wrapped("closed: needs open, has drained", 20, 2, width)).toEqual(["closed: needs open,", "has drained"]);
    expect(wrapped("closed: needs open, has drained", 20, 1, width)).toBeUndefined();
    expect(wrapped("closed", 5, 3, width)).toBeUndefined();
    expect(wrapped("closed", 6, 1, width)).toEqual(["closed"]);
  });

  it("concern nothing where an instance has no placement to explain", () => {
    const found = refusalsOf({ instance: instance("i1", "n1"), text: "it runs", revision: 1 } as Parameters<
      typeof refusalsOf
    >[0]);
    expect([found.text, found.nodes.size]).toEqual(["it runs", 0]);
  });
});

describe("the instance that is looked at", () => {
  const over = (city: City, id: string, zoom: number) => {
    const spot = city.units.get(id)?.spot;
    if (!spot) throw new Error(id);
    return lookedAt(city, { x: spot.x, y: spot.y, zoom }, SCREEN);
  };

  it("is the one in the middle as soon as it is large, and none from farther away", () => {
    const city = town();
    const size = city.units.get("i1")?.spot?.size ?? 0;
    expect(over(city, "i1", 111 / size)).toBe("i1");
    expect(over(city, "i2", 111 / size)).toBe("i2");
    expect(over(city, "i1", 109 / size)).toBeUndefined();
  });

  it("is the nearest of those that are seen where nothing stands in the middle", () => {
    const city = town();
    const spot = city.units.get("i2")?.spot ?? { x: 0, y: 0 };
    expect(lookedAt(city, { x: spot.x + 20, y: spot.y, zoom: 12 }, SCREEN)).toBe("i2");
    expect(lookedAt(city, { x: spot.x + 5_000, y: spot.y, zoom: 12 }, SCREEN)).toBeUndefined();
  });

  it("is at the nearest also one of very many, each of them small", () => {
    const city = emptyCity("zone");
    const many = Array.from({ length: 200 }, (_, at) => instance(`i${at}`, "n0"));
    advance(city, sight([node("n0")], many));
    expect(over(city, "i77", 14)).toBe("i77");
    expect(over(city, "i77", 11)).toBeUndefined();
  });
});
