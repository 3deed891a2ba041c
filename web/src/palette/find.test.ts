import { describe, expect, it } from "vitest";
import type { Target } from "../actions/target";
import { find, haystackOf, MOST } from "./find";

const agent = (name: string): Target =>
  ({
    kind: "agent",
    object: { id: name, name, namespace: "default", status: "running", replicas: 1, version: 2, rollout: null },
  }) as Target;
const node = (name: string): Target =>
  ({ kind: "node", object: { id: name, name, status: "live", scheduling: "open" } }) as Target;
const ALL = haystackOf([agent("web"), agent("checkout-api"), node("rack-0001"), node("weather")]);
const titles = (text: string, chosen: Target[] = []) => find(text, chosen, ALL).map((one) => one.title);

describe("the palette", () => {
  it("shows what can be done to what is chosen, then pages, before anything is typed", () => {
    const shown = find("", [agent("web")], ALL);
    expect(shown[0]).toMatchObject({ kind: "action", title: "Scale web" });
    expect(shown.some((one) => one.kind === "page" && one.title === "Events")).toBe(true);
    expect(shown.some((one) => one.title === "Start web")).toBe(false);
  });

  it("finds by parts of names", () => {
    expect(titles("chk api")).toEqual([]);
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
  });

  it("is quick and short with a hundred thousand names", () => {
    const many = haystackOf(Array.from({ length: 100_000 }, (_, index) => agent(`worker-${index}`)));
    const found = find("worker 77", [], many);
    expect(found.length).toBeLessThanOrEqual(2 * MOST + 8);
    expect(found.length).toBeGreaterThan(0);
  });
});
