import { describe, expect, it } from "vitest";
import { ACTIONS } from "../actions/registry";
import type { Target } from "../actions/target";
import { setPastRevision } from "../past/when";
import { find, findFor, MOST } from "./find";
import { haystackOf } from "./match";
import { whyToNone } from "./verbs";

const agent = (name: string): Target =>
  ({
    kind: "agent",
    object: { id: name, name, namespace: "default", status: "running", replicas: 1, version: 2, rollout: null },
  }) as Target;
const node = (name: string): Target =>
  ({ kind: "node", object: { id: name, name, status: "live", scheduling: "open", drivers: [] as object[] } }) as Target;
const instance = (name: string): Target =>
  ({
    kind: "instance",
    object: { id: name, name, namespace: "default", status: "running", condition: "running", node: "alpha" },
  }) as Target;
const ALL = haystackOf([agent("web"), agent("checkout-api"), node("rack-0001"), node("weather")]);
const titles = (text: string, chosen: Target[] = []) => find(text, chosen, ALL).map((one) => one.title);

describe("the palette", () => {
  it("shows what can be done to what is chosen, then pages, before anything is typed", () => {
    const shown = find("", [agent("web")], ALL);
    expect(shown[0]).toMatchObject({ kind: "action", title: "Scale web" });
    expect(shown.some((one) => one.kind === "page" && one.title === "Events")).toBe(true);
    expect(shown.some((one) => one.title === "Start web")).toBe(false);
  });

  it("has what can be done to each kind of what is chosen, and says each key once", () => {
    const keys = find("", [instance("web-1.1"), agent("web")], ALL).flatMap((item) =>
      item.kind === "action" || item.kind === "opening" ? [[item.title, item.key] as const] : [],
    );
    const of = new Map(keys);
    expect(of.get("Restart web-1.1")).toBe("r");
    expect(of.get("Restart web")).toBe("");
    expect(of.get("Scale web")).toBe("s");
    const said = keys.map(([, key]) => key).filter(Boolean);
    expect(new Set(said).size).toBe(said.length);
  });

  it("finds by parts of names", () => {
    expect(titles("chk api")).toEqual(["checkout-api"]);
    expect(titles("chkoutapi")).toEqual(["checkout-api"]);
    expect(titles("ipa")).toEqual([]);
    expect(titles("check api")).toContain("checkout-api");
    expect(titles("rack 1")).toContain("rack-0001");
    expect(titles("nod")[0]).toBe("Nodes");
  });

  it("puts what begins as it is typed before what is only like it", () => {
    const all = haystackOf([agent("web-3.2"), agent("web-2.1")]);
    expect(find("web-2", [], all).map((one) => one.title)).toEqual(["web-2.1", "web-3.2"]);
  });

  it("takes an action and a name", () => {
    expect(titles("scale web")).toContain("Scale web");
    expect(titles("sc web")).toContain("Scale web");
    expect(titles("drain web")).not.toContain("Drain web");
    expect(titles("drain rack")).toContain("Drain rack-0001");
    expect(titles("roll back web")).toContain("Roll back web");
    expect(titles("roll back web")).not.toContain("Roll back checkout-api");
  });

  it("finds everything that can be done by its name alone, and then asks to what", () => {
    for (const action of ACTIONS) {
      const found = find(action.title.toLowerCase(), [], ALL).find(
        (one) => one.kind === "verb" && one.verb.of === action,
      );
      expect(found, action.id).toBeDefined();
    }
    expect(titles("drain")[0]).toBe("Drain…");
    expect(titles("terminal")[0]).toBe("Terminal…");
    expect(titles("rollout")).toContain("Pause rollout…");
    const drain = find("drain", [], ALL)[0];
    if (drain?.kind !== "verb") throw new Error("no verb");
    const asked = (text: string, chosen: Target[] = [], favourite = (_: Target) => false) =>
      findFor(drain.verb, text, ALL, chosen, favourite).map((one) => one.title);
    expect(asked("")).toEqual(["Drain rack-0001", "Drain weather"]);
    expect(asked("", [], (one) => one.object.name === "weather")).toEqual(["Drain weather", "Drain rack-0001"]);
    expect(asked("", [node("zeta"), agent("web")])).toEqual(["Drain zeta", "Drain rack-0001", "Drain weather"]);
    expect(asked("we")).toEqual(["Drain weather"]);
    expect(asked("web")).toEqual([]);
    expect(whyToNone(drain.verb, haystackOf([agent("web")]))).toBe("there is no node");
  });

  it("knows what the command line and others call it", () => {
    expect(titles("rollback web")).toContain("Roll back web");
    expect(titles("undo web")).toContain("Roll back web");
    expect(titles("rm web")).toContain("Remove web");
    expect(titles("nodes cordon rack")).toEqual(["Cordon rack-0001"]);
    expect(titles("logs web")).toContain("Output web");
    expect(titles("rollback")[0]).toBe("Roll back…");
    expect(titles("logs")[0]).toBe("Output…");
    expect(titles("delete")).toEqual(["Remove…", "Remove…"]);
    expect(titles("undo", [agent("web")])[0]).toBe("Roll back web");
    expect(titles("rollback web", [agent("web")])[0]).toBe("Roll back web");
    const all = haystackOf([agent("cart"), instance("cart-1.1")]);
    for (const text of ["shell cart", "console cart", "exec cart", "terminal cart"])
      expect(find(text, [], all).map((one) => one.title)).toContain("Terminal cart-1.1");
    expect(find("cp cart", [], all).map((one) => one.title)).toEqual(["Files cart-1.1"]);
    expect(find("logs cart", [], all).map((one) => one.title)).toEqual(["Output cart", "Output cart-1.1"]);
  });

  it("takes letters of an action in their order before a name, behind all that is better", () => {
    expect(titles("scl web")).toEqual(["Scale web"]);
    expect(titles("drn rack")).toEqual(["Drain rack-0001"]);
    expect(titles("rol bak web")).toEqual(["Roll back web"]);
    expect(titles("rack 1")[0]).toBe("rack-0001");
    expect(titles("s web")).toContain("Scale web");
    expect(find("roll ba", [], haystackOf([agent("batch")])).map((one) => one.title)).toEqual(["Roll back…"]);
    expect(titles("x web")).not.toContain("Scale web");
  });

  it("says of each how it is in the words of lists", () => {
    const { object } = instance("crasher-1.30");
    const failing = {
      kind: "instance",
      object: { ...object, condition: "starting", failing: true, ends: 4 },
    } as Target;
    const closed = { kind: "node", object: { ...node("weather").object, scheduling: "cordoned" } } as Target;
    const more = (text: string) => find(text, [], haystackOf([failing, closed]))[0];
    expect(more("crasher")).toMatchObject({ more: "instance · failing" });
    expect(more("weather")).toMatchObject({ more: "node · cordoned" });
  });

  it("has those that are equally meant in the order that people count in", () => {
    const all = haystackOf(["desk-10", "south-3", "desk-9", "desk-2"].map(node));
    const expected = ["desk-2", "desk-9", "desk-10"];
    expect(find("desk", [], all).map((one) => one.title)).toEqual(expected);
    expect(find("drain desk", [], all).map((one) => one.title)).toEqual(expected.map((name) => `Drain ${name}`));
    const many = haystackOf(Array.from({ length: 5000 }, (_, at) => node(`a-desk-${5000 - at}`)));
    expect(find("desk", [], many).map((one) => one.title)).toEqual(
      Array.from({ length: MOST }, (_, at) => `a-desk-${at + 1}`),
    );
  });

  it("finds the one of very many that it can be done to, whatever the others are called", () => {
    const nodes = Array.from({ length: 1000 }, (_, at) => node(`rack-${String(999 - at).padStart(4, "0")}`));
    const cordoned = nodes.find((one) => one.object.name === "rack-0950");
    Object.assign(cordoned?.object ?? {}, { scheduling: "cordoned" });
    const all = haystackOf(nodes);
    const verb = (text: string) => {
      const found = find(text, [], all).find((one) => one.kind === "verb");
      if (found?.kind !== "verb") throw new Error("no verb");
      return found.verb;
    };
    const asked = (name: string, text: string) =>
      findFor(verb(name), text, all, [], () => false).map((one) => one.title);
    expect(asked("uncordon", "")).toEqual(["Uncordon rack-0950"]);
    expect(asked("uncordon", "rack")).toEqual(["Uncordon rack-0950"]);
    expect(find("uncordon rack", [], all).map((one) => one.title)).toContain("Uncordon rack-0950");
    expect(asked("drain", "")[0]).toBe("Drain rack-0000");
  });

  it("offers nothing by its name alone in the past", () => {
    setPastRevision(7);
    expect(find("drain", [], ALL).filter((one) => one.kind === "verb")).toEqual([]);
    setPastRevision(0);
  });

  it("is quick and short with a hundred thousand names", () => {
    const many = haystackOf(Array.from({ length: 100_000 }, (_, index) => agent(`worker-${index}`)));
    const found = find("worker 77", [], many);
    expect(found.length).toBeLessThanOrEqual(2 * MOST + 8);
    expect(found.length).toBeGreaterThan(0);
  });
});
