import { describe, expect, it } from "vitest";
import type { InstanceExplanation } from "../../api/types";
import { advance, emptyCity } from "./city";
import { legend } from "./colours";
import { ASKED_MOST, failingOf, NOT_ASKED, ruleOfUnit, toAsk } from "./failing";
import { instance, node, sight } from "./sample";

const exit = (more: object) => ({ attempt: 1, cause: "", text: "", ...more });

function answer(id: string, workload: string, rule: string, refused: Record<string, string>): InstanceExplanation {
  return {
    instance: instance(id, "", { workload_id: workload }),
    text: "waits",
    revision: 1,
    placement: {
      verdict: "never",
      text: "",
      revision: 1,
      reasons: [{ rule, text: "" }],
      table: Object.entries(refused).map(([at, failed]) => ({
        node: at,
        name: at,
        fits: !failed,
        failures: failed ? [{ rule: failed }] : [],
      })),
    },
  } as unknown as InstanceExplanation;
}

describe("what holds an instance up", () => {
  it("is the scheduler's rule where it waits, and nothing where it runs well", () => {
    const failing = failingOf([answer("p1", "web", "driver-unhealthy", {})], [], []);
    expect(ruleOfUnit(instance("p1", ""), failing)).toBe("driver unhealthy");
    expect(ruleOfUnit(instance("p2", "", { workload_id: "other" }), failing)).toBe("waits, not asked why");
    expect(ruleOfUnit(instance("i1", "n1"), failing)).toBe("");
  });

  it("is how it failed where it does", () => {
    const rule = (more: Parameters<typeof instance>[2]) => ruleOfUnit(instance("i1", "n1", more), NOT_ASKED);
    expect(rule({ health: "unhealthy" })).toBe("probe");
    expect(rule({ status: "failed", exit: exit({ out_of_memory: true }) as never })).toBe("out of memory");
    expect(rule({ status: "failed", exit: exit({ cause: "image-missing" }) as never })).toBe("image missing");
    expect(rule({ status: "starting", attempt: 3, exit: exit({ code: 1 }) as never })).toBe("exit");
    expect(rule({ status: "starting", attempt: 1 })).toBe("");
    expect(rule({ status: "lost" })).toBe("node silent");
    expect(rule({ status: "unknown", unknown_because: "node n1 has not been heard from" })).toBe("node silent");
    expect(rule({ status: "unknown", unknown_because: "docker on n1 does not answer" })).toBe("runtime silent");
  });
});

describe("failing rules of the fabric", () => {
  it("counts a dark node as dark, as it is drawn, and by no rule", () => {
    const nodes = [node("n1", { status: "lost" }), node("n2")];
    const city = emptyCity("zone");
    advance(city, sight(nodes));
    expect(city.buildings.get("n1")?.dark).toBe(true);
    const failing = failingOf([answer("p1", "web", "offline", { n1: "offline", n2: "cpu" })], nodes, []);
    expect(legend("rule", city, [], failing)).toEqual([
      { colour: "kind-0", shape: "building", text: "nodes that refuse by cpu", count: 1 },
      { colour: "plain", shape: "note", text: "Nodes by why they refuse 1 workload that waits for a place", count: 1 },
      { colour: "blind", shape: "building", text: "dark nodes", count: 1 },
    ]);
  });

  it("asks about one instance of each workload that waits, most waiting first, and not about all", () => {
    const waiting = Array.from({ length: 20 }, (_, at) => instance(`a${at}`, "", { workload_id: `w${at}` }));
    const most = instance("b1", "", { workload_id: "w19" });
    const asked = toAsk([instance("i1", "n1"), ...waiting, most]);
    expect(asked[0]).toBe("a19");
    expect(asked.length).toBe(ASKED_MOST);
    expect(toAsk([most, ...waiting.reverse(), instance("i1", "n1")])).toEqual(asked);
  });

  it("counts of what has failed for good what is on the map: an agent's replica, and no task of a job", () => {
    const failed = { status: "failed", exit: { cause: "", out_of_memory: true } } as Parameters<typeof instance>[2];
    const task = { ...failed, kind: "job" } as const;
    const found = failingOf([], [node("n1")], [instance("i1", "n1", failed), instance("t1", "n1", task)]);
    expect([...found.units]).toEqual([["out of memory", 1]]);
  });

  it("names a node by the rule that refuses the most, and ranks rules by what they hold up", () => {
    const nodes = [node("n1"), node("n2"), node("n3", { scheduling: "cordoned" })];
    const failing = failingOf(
      [answer("p1", "web", "cpu", { n1: "cpu", n2: "" }), answer("q1", "db", "memory", { n1: "memory", n2: "memory" })],
      nodes,
      [instance("p1", ""), instance("p2", ""), instance("q1", "", { workload_id: "db" }), instance("i1", "n1")],
    );
    expect([...failing.refusing]).toEqual([
      ["n1", "cpu"],
      ["n2", "memory"],
    ]);
    expect(failing.rules).toEqual(["cpu", "memory", "closed"]);
    expect(
      legend("rule", emptyCity("zone"), [], failing).map(({ text, shape, count }) => [text, shape, count]),
    ).toEqual([
      ["cpu", "process", 2],
      ["nodes that refuse by cpu", "building", 1],
      ["memory", "process", 1],
      ["nodes that refuse by memory", "building", 1],
      ["nodes that are closed to what is new", "building", 1],
      ["Nodes by why they refuse 2 workloads that wait for a place", "note", 2],
    ]);
  });
});
