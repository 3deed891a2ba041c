import { describe, expect, it } from "vitest";
import type { Instance } from "../../api/types";
import { advance, advancing, type City, emptyCity } from "./city";
import { legend } from "./colours";
import { agent, chance, instance, node, sight } from "./sample";
import { nexusAt, PART } from "./seating";
import { summaryOf, tipOf } from "./telling";

const NODES = [node("n1"), node("n2")];

function spots(city: City): Record<string, unknown> {
  return Object.fromEntries(
    [...city.units].map(([id, unit]) => [id, { home: unit.home, spot: unit.spot, tone: unit.tone }]),
  );
}

describe("the city", () => {
  it("stands each instance on its node, and those without one beside Nexus", () => {
    const city = emptyCity("zone");
    advance(city, sight(NODES, [instance("i1", "n1"), instance("i2", "")]));
    expect(city.units.get("i1")?.home).toBe("n1");
    expect(city.units.get("i2")?.home).toBe("");
    expect(city.yard.size).toBe(1);
    expect(city.units.get("i1")?.spot).toBeDefined();
  });

  it("is the same city whether it is made at once or in parts", () => {
    const nodes = Array.from({ length: 40 }, (_, at) => node(`n${at}`));
    const instances = Array.from({ length: 3 * PART + 7 }, (_, at) =>
      instance(`i${at}`, at % 5 ? `n${(at * 7) % 40}` : "", { created_ms: (at * 7919) % 1_000 }),
    );
    const atOnce = emptyCity("zone");
    const changes = advance(atOnce, sight(nodes, instances));
    const inParts = emptyCity("zone");
    const parts = advancing(inParts, sight(nodes, instances));
    let count = 0;
    let part = parts.next();
    for (; !part.done; part = parts.next()) count += 1;
    expect(count).toBeGreaterThan(6);
    expect(spots(inParts)).toEqual(spots(atOnce));
    expect(part.value).toEqual(changes);
    expect(legend("health", inParts, [])).toEqual(legend("health", atOnce, []));
  });

  it("takes in what changes while it is made", () => {
    const instances = Array.from({ length: 2 * PART }, (_, at) => instance(`i${at}`, "n1"));
    const seen = sight(NODES, instances);
    const city = emptyCity("zone");
    const parts = advancing(city, seen);
    parts.next();
    parts.next();
    const table = seen.instances as Map<string, (typeof instances)[number]>;
    table.delete("i0");
    table.delete(`i${2 * PART - 1}`);
    table.set("i1", instance("i1", "n2"));
    table.set("late", instance("late", "n2"));
    while (!parts.next().done);
    const ids = new Set(["i0", `i${2 * PART - 1}`, "i1", "late"]);
    advance(city, seen, { node: new Set(), instance: ids });
    expect([...city.units.keys()].sort()).toEqual([...table.keys()].sort());
    expect(city.units.get("i1")?.home).toBe("n2");
    expect(city.units.get("late")?.home).toBe("n2");
  });

  it("has what ends again and again as failing, whether or not it runs at this moment", () => {
    const city = emptyCity("zone");
    const loop = { failing: true, ends: 4 } as const;
    advance(
      city,
      sight(NODES, [
        instance("i1", "n1", { ...loop, status: "running", condition: "running" }),
        instance("i2", "n1", { ...loop, status: "starting", condition: "waiting" }),
        instance("i3", "n1"),
      ]),
    );
    expect(["i1", "i2", "i3"].map((id) => city.units.get(id)?.tone)).toEqual(["bad", "bad", "good"]);
    expect(legend("health", city, [])).toContainEqual(expect.objectContaining({ text: "failing", count: 2 }));
    const tip = tipOf(city, { kind: "instance", id: "i2" }, undefined);
    expect(tip?.more).toContain("ended 4 times in a row");
  });

  it("counts what is away with its node as lists do, whatever it did there", () => {
    const city = emptyCity("zone");
    const away = { unknown_because: "node n1 was stopped by its operator" };
    const loop = { ...away, failing: true, ends: 85 };
    advance(city, sight(NODES, [instance("i1", "n1", away), instance("i2", "n1", loop), instance("i3", "n2")]));
    expect(legend("health", city, []).map(({ text, count }) => [text, count])).toEqual([
      ["away", 2],
      ["running", 1],
    ]);
  });

  it("tells what has failed for good or was lost from what fails now, and has no building ail from it", () => {
    const city = emptyCity("zone");
    const spent = { status: "failed" } as const;
    advance(
      city,
      sight(NODES, [
        instance("i1", "n1", { failing: true, ends: 4 }),
        instance("r1", "n2", spent),
        instance("r2", "n2", spent),
        instance("i2", "n2", { status: "lost" }),
      ]),
    );
    expect(legend("health", city, []).map(({ text, count, hollow }) => [text, count, hollow])).toEqual([
      ["failing", 1, false],
      ["failed", 2, true],
      ["lost", 1, true],
    ]);
    expect(summaryOf(city)).toBe(
      "2 nodes in 1 district by zone, 1 instance, and 3 that ended (2 failed, 1 lost), none dark, 1 instance failing",
    );
    expect(["n1", "n2"].map((id) => city.buildings.get(id)?.ailing)).toEqual([1, 0]);
    advance(city, sight(NODES, [instance("i1", "n1", { failing: true, ends: 4 })]));
    expect(legend("health", city, []).map(({ text, count }) => [text, count])).toEqual([["failing", 1]]);
  });

  it("tells the whole name of a district, whatever of it there is room for", () => {
    const city = emptyCity("zone");
    advance(city, sight([node("n1", { labels: { zone: "office-south-east-1" } })], []));
    expect(tipOf(city, { kind: "district", index: 0 }, undefined)).toEqual({
      title: "office-south-east-1",
      more: "1 node",
    });
  });

  it("leaves out what has ended as it should", () => {
    const city = emptyCity("zone");
    advance(
      city,
      sight(NODES, [instance("i1", "n1", { status: "stopped" }), instance("i2", "n1", { status: "failed" })]),
    );
    expect([...city.units.keys()]).toEqual(["i2"]);
  });

  it("leaves out what has ended of a job, however that was: nothing is to be there in its place", () => {
    const city = emptyCity("zone");
    const task = { kind: "job", workload: "once", workload_id: "once" } as const;
    const running = instance("t1", "n1", task);
    advance(city, sight(NODES, [running, instance("i1", "n1")]));
    expect(city.buildings.get("n1")?.slots.size).toBe(2);
    for (const status of ["failed", "lost"] as const) {
      advance(city, sight(NODES, [instance("t1", "n1", { ...task, status }), instance("i1", "n1")]));
      expect([...city.units.keys()]).toEqual(["i1"]);
      expect(legend("health", city, []).map(({ text, count }) => [text, count])).toEqual([["running", 1]]);
      expect(summaryOf(city)).toBe("2 nodes in 1 district by zone, 1 instance, none dark, none failing");
      advance(city, sight(NODES, [running, instance("i1", "n1")]));
    }
  });

  it("counts apart on a node what has ended there", () => {
    const city = emptyCity("zone");
    advance(city, sight(NODES, [instance("i1", "n1"), instance("i2", "n1", { status: "failed" })]));
    expect(tipOf(city, { kind: "node", id: "n1" }, undefined)?.more).toBe("live · 1 instance, and 1 that ended");
  });

  it("tells what is another, and nothing else", () => {
    const city = emptyCity("zone");
    const one = instance("i1", "n1");
    const other = instance("i2", "n2");
    advance(city, sight(NODES, [one, other]));
    const same = advance(city, sight(NODES, [one, other]));
    expect([same.nodes.size, same.units.size, same.motions.length, same.layout]).toEqual([0, 0, 0, false]);
    const changed = advance(city, sight(NODES, [{ ...one, health: "unhealthy", condition: "unhealthy" }, other]));
    expect([...changed.units]).toEqual(["i1"]);
    expect(city.units.get("i1")?.tone).toBe("bad");
    expect(city.buildings.get("n1")?.ailing).toBe(1);
  });

  it("is the same city of the same state, whatever was there before and however it was told", () => {
    const random = chance(7);
    const at = (many: number) => Math.floor(random() * many);
    const known = (city: City) =>
      Object.fromEntries([...city.units].map(([id, { home, tone, old, driver }]) => [id, { home, tone, old, driver }]));
    const counts = ({ tally }: City) => [
      [...tally.standings].filter(([, many]) => many).sort(),
      [...tally.drivers].filter(([, many]) => many).sort(),
      tally.old,
    ];
    const standing = (index: number) => node(`n${index}`, { labels: { zone: `z${index % 3}` } });
    // One in thirteen waits beside Nexus.
    const somewhere = (id: string, more: Partial<Instance> = {}) => {
      const on = at(13);
      return instance(id, on < 12 ? `n${on}` : "", { slot: at(9), workload: `w${at(4)}`, ...more });
    };
    let nodes = Array.from({ length: 12 }, (_, index) => standing(index));
    const instances = new Map(Array.from({ length: 300 }, (_, index) => [`i${index}`, somewhere(`i${index}`)]));
    let agents = [agent("web")];
    const told = emptyCity("zone");
    const looked = emptyCity("zone");
    advance(told, sight(nodes, [...instances.values()], agents));
    for (let step = 0; step < 300; step += 1) {
      const touched = { node: new Set<string>(), instance: new Set<string>() };
      const id = `i${at(340)}`;
      touched.instance.add(id);
      const had = instances.get(id);
      if (had && random() < 0.3) instances.delete(id);
      else if (had) {
        const { workload, slot } = had;
        const health = random() < 0.5 ? "unhealthy" : "healthy";
        instances.set(id, somewhere(id, { workload, slot, health }));
      } else instances.set(id, somewhere(id));
      if (step % 9 === 0) agents = [agent("web", { version: 1 + (step % 2) })];
      if (step % 11 === 0) {
        const index = at(14);
        touched.node.add(`n${index}`);
        const there = nodes.some((one) => one.id === `n${index}`);
        nodes = there ? nodes.filter((one) => one.id !== `n${index}`) : [...nodes, standing(index)];
      }
      const seen = sight(nodes, [...instances.values()], agents);
      advance(told, seen, touched);
      if (step % 20) continue;
      const opened = emptyCity("zone");
      advance(opened, sight([...nodes].reverse(), [...instances.values()].reverse(), agents));
      advance(looked, seen);
      for (const city of [told, looked]) {
        expect(known(city)).toEqual(known(opened));
        expect(counts(city)).toEqual(counts(opened));
        expect(spots(city)).toEqual(spots(opened));
        expect(city.layout).toEqual(opened.layout);
        expect(city.yard.size).toBe(opened.yard.size);
        expect([...(city.unitsOf.get("web") ?? [])].sort()).toEqual([...(opened.unitsOf.get("web") ?? [])].sort());
        for (const [node, { ailing, slots, lot, roof }] of opened.buildings) {
          expect(city.buildings.get(node)).toMatchObject({ ailing, lot, roof });
          expect([...(city.buildings.get(node)?.slots.ids() ?? [])]).toEqual([...slots.ids()]);
        }
      }
    }
  });

  it("has an instance in a sandbox, or of an earlier version, as what it runs in", () => {
    const city = emptyCity("zone");
    const units = [
      instance("i1", "n1", { driver: "process", isolation: "sandbox" }),
      instance("i2", "n1", { driver: "docker" }),
      instance("i3", "n1"),
    ];
    advance(city, sight(NODES, units, [agent("web", { driver: "process" })]));
    expect([...city.units.values()].map((unit) => unit.shape)).toEqual(["sandbox", "docker", "process"]);
  });

  it("has who takes the place of another where that stood, and moves nobody else", () => {
    const city = emptyCity("zone");
    const all = [1, 2, 3, 4, 5].map((at) => instance(`i${at}`, "n1", { slot: at }));
    advance(city, sight(NODES, all));
    const before = spots(city);
    const others = all.filter(({ id }) => id !== "i2");
    const task = instance("t9", "n1", { kind: "job", workload: "a", workload_id: "a" });
    advance(city, sight(NODES, [...others, instance("i9", "n1", { slot: 2, generation: 2 }), task]));
    const { i2, ...stay } = before;
    expect(spots(city)).toMatchObject({ ...stay, i9: i2 });
  });

  it("has one that has joined again after the others, as a page that is opened then", () => {
    const city = emptyCity("zone");
    advance(city, sight(NODES, []));
    const again = sight([node("n1", { joined_ms: 99 }), node("n2")], []);
    advance(city, again);
    const opened = emptyCity("zone");
    advance(opened, again);
    expect(city.layout).toEqual(opened.layout);
    expect(city.buildings.get("n1")?.lot).toEqual(opened.buildings.get("n1")?.lot);
  });

  it("is laid out anew where its screen is turned, as for a page that is opened then", () => {
    const nodes = Array.from({ length: 40 }, (_, at) => node(`n${at}`, { labels: { zone: `z${at % 5}` } }));
    const [wide, narrow] = [sight(nodes, []), { ...sight(nodes, []), narrow: true }];
    const city = emptyCity("zone");
    advance(city, wide);
    const before = city.layout;
    expect(advance(city, narrow).layout).toBe(true);
    const opened = emptyCity("zone", true);
    advance(opened, narrow);
    expect(city.layout).toEqual(opened.layout);
    expect([...city.buildings.values()].map(({ roof }) => roof)).toEqual(
      [...opened.buildings.values()].map(({ roof }) => roof),
    );
    expect(advance(city, narrow).layout).toBe(false);
    advance(city, wide);
    expect(city.layout).toEqual(before);
  });

  it("moves up those after one that leaves, and tells them as others than before", () => {
    const city = emptyCity("zone");
    const all = [1, 2, 3].map((at) => instance(`i${at}`, "n1", { slot: at }));
    advance(city, sight(NODES, all));
    const before = spots(city);
    const changes = advance(
      city,
      sight(
        NODES,
        [all[0], all[2]].filter((one) => one !== undefined),
      ),
    );
    expect(spots(city)).toEqual({ i1: before.i1, i3: before.i2 });
    expect([...changes.units].sort()).toEqual(["i2", "i3"]);
    expect([...changes.homes]).toEqual(["n1"]);
  });

  it("forgets nodes and instances that are gone", () => {
    const city = emptyCity("zone");
    advance(city, sight(NODES, [instance("i1", "n1")]));
    const changes = advance(city, sight([node("n2")], []));
    expect([...changes.units]).toEqual(["i1"]);
    expect([city.units.size, city.unitsOf.size, city.buildings.size]).toEqual([0, 0, 1]);
  });

  it("follows an agent's newer version and driver in all its units", () => {
    const city = emptyCity("zone");
    advance(city, sight(NODES, [instance("i1", "n1")]));
    expect(city.units.get("i1")?.old).toBe(false);
    advance(
      city,
      sight(
        NODES,
        [...city.units.values()].map((unit) => unit.instance),
        [agent("web", { version: 2, driver: "docker" })],
      ),
    );
    expect(city.units.get("i1")).toMatchObject({ old: true, driver: "docker" });
  });
});

describe("motion", () => {
  const start = (): City => {
    const city = emptyCity("zone");
    advance(city, sight(NODES, [instance("i1", "n1")]));
    return city;
  };

  it("is none in the first picture", () => {
    const city = emptyCity("zone");
    expect(advance(city, sight(NODES, [instance("i1", "n1")])).motions).toEqual([]);
  });

  it("brings a new instance from Nexus to its node", () => {
    const city = start();
    const other = instance("i2", "n2", { slot: 2 });
    const { motions } = advance(city, sight(NODES, [instance("i1", "n1"), other]));
    expect(motions).toEqual([{ kind: "travel", unit: "i2", from: nexusAt(city.layout) }]);
  });

  it("brings one that waited from where it waited", () => {
    const city = emptyCity("zone");
    advance(city, sight(NODES, [instance("i1", "")]));
    const spot = city.units.get("i1")?.spot;
    const { motions } = advance(city, sight(NODES, [instance("i1", "n2")]));
    expect(motions).toEqual([{ kind: "travel", unit: "i1", from: { x: spot?.x, y: spot?.y } }]);
    expect(city.yard.size).toBe(0);
  });

  it("brings one that moved from the node that it was on", () => {
    const city = start();
    const spot = city.units.get("i1")?.spot;
    const { motions } = advance(
      city,
      sight(NODES, [instance("i1", "n1", { status: "stopping" }), instance("i2", "n2", { generation: 2 })]),
    );
    expect(motions).toEqual([{ kind: "travel", unit: "i2", from: { x: spot?.x, y: spot?.y } }]);
  });

  it("pulses where one starts again, and where one begins to fail", () => {
    const city = start();
    expect(advance(city, sight(NODES, [instance("i1", "n1", { attempt: 2 })])).motions).toEqual([
      { kind: "pulse", unit: "i1", tone: "busy" },
    ]);
    const failing = instance("i1", "n1", { attempt: 2, health: "unhealthy" });
    expect(advance(city, sight(NODES, [failing])).motions).toEqual([{ kind: "pulse", unit: "i1", tone: "bad" }]);
  });

  it("shows one that its operator stopped as dark as one that is lost, from the moment that it says so", () => {
    const city = start();
    const stopped = [node("n1", { departing: "stopped", back_within_ms: 30_000, stopped_ms: 7 }), node("n2")];
    const { motions } = advance(city, sight(stopped, [instance("i1", "n1")]));
    expect(motions).toContainEqual({ kind: "fall", node: "n1" });
    expect(city.buildings.get("n1")).toMatchObject({ dark: true, state: { text: "stopped" } });
    expect(advance(city, sight(NODES, [instance("i1", "n1")])).motions).not.toContainEqual({
      kind: "fall",
      node: "n1",
    });
    expect(city.buildings.get("n1")?.dark).toBe(false);
  });

  it("shows a node fall dark, once", () => {
    const city = start();
    const lost = [node("n1", { status: "unreachable" }), node("n2")];
    const { motions } = advance(city, sight(lost, [instance("i1", "n1")]));
    expect(motions).toContainEqual({ kind: "fall", node: "n1" });
    expect(city.buildings.get("n1")?.dark).toBe(true);
    const still = [node("n1", { status: "lost" }), node("n2")];
    expect(advance(city, sight(still, [instance("i1", "n1")])).motions).not.toContainEqual({
      kind: "fall",
      node: "n1",
    });
  });

  it("is left out where it would be another picture", () => {
    const city = start();
    const crowd = Array.from({ length: 500 }, (_, at) => instance(`j${at}`, "n1", { slot: at + 5 }));
    expect(advance(city, sight(NODES, crowd)).motions).toEqual([]);
  });
});
