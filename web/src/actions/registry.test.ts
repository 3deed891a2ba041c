import { describe, expect, it } from "vitest";
import type { Agent, Instance, Node } from "../api/types";
import type { Input } from "./action";
import { ACTIONS, actionById, actionsFor, hindrance } from "./registry";
import { hrefOf, shellWord, type Target } from "./target";

const agent = (more: Partial<Agent> = {}): Target => ({
  kind: "agent",
  object: {
    id: "a1",
    name: "web",
    namespace: "shop",
    status: "running",
    replicas: 4,
    version: 3,
    rollout: null,
    ...more,
  } as Agent,
});
const instance = (more: Partial<Instance> = {}): Target => ({
  kind: "instance",
  object: {
    id: "i1",
    name: "web-1.1",
    namespace: "default",
    kind: "agent",
    status: "running",
    node: "alpha",
    node_id: "n1",
    workload_id: "a1",
    ...more,
  } as Instance,
});
const node = (more: Partial<Node> = {}): Target => ({
  kind: "node",
  object: { id: "n1", name: "alpha", status: "live", scheduling: "open", ...more } as Node,
});
const INPUT: Input = { replicas: 2, version: 0, node: "", atOnce: 0 };
const AROUND = { instances: [instance().object as Instance], nodes: [node().object as Node] };

describe("the registry", () => {
  it("gives every action a key of its own among those of its kind", () => {
    const keys = ACTIONS.map((one) => `${one.kind} ${one.key}`);
    expect(new Set(keys).size).toBe(keys.length);
    for (const one of ACTIONS) expect(one.key).toMatch(/^[a-zA-Z]$/);
  });

  it("takes none of the keys by which one moves", () => {
    for (const one of ACTIONS) expect("jkg/?f".includes(one.key)).toBe(false);
  });

  it("names for every grave action what is lost, or that nothing runs there", () => {
    for (const action of ACTIONS.filter((one) => one.grave)) {
      const target = { agent: agent(), instance: instance(), node: node() }[action.kind];
      expect(action.losses(target, INPUT, AROUND).length, action.id).toBeGreaterThan(0);
    }
  });

  it("asks Nexus for what the command line asks for", () => {
    expect(actionById("agent.scale").request(agent(), INPUT)).toEqual({
      method: "POST",
      path: "/v1/namespaces/shop/agents/web/scale",
      body: { replicas: 2 },
    });
    expect(actionById("agent.scale").command(agent(), INPUT)).toBe("scale shop/web 2");
    expect(actionById("agent.rollback").command(agent(), { ...INPUT, version: 2 })).toBe("rollback shop/web --to 2");
    expect(actionById("instance.migrate").command(instance(), { ...INPUT, node: "beta" })).toBe(
      "migrate web-1.1 --to beta",
    );
    expect(actionById("node.drain").command(node(), INPUT)).toBe("drain alpha");
  });

  it("says why something cannot be done", () => {
    expect(actionById("agent.start").hindrance(agent())).toBe("it is not stopped");
    expect(actionById("agent.start").hindrance(agent({ status: "stopped" }))).toBe("");
    expect(actionById("agent.pause").hindrance(agent())).toBe("nothing is being rolled out");
    expect(actionById("agent.rollback").hindrance(agent({ version: 1 }))).toBe("it has one version only");
    expect(actionById("node.uncordon").hindrance(node())).toBe("it is open");
    expect(actionById("instance.restart").hindrance(instance({ status: "failed" }))).toBe("it is failed");
    expect(actionById("node.drain").hindrance(agent())).toBe("not for an agent");
  });

  it("offers for many what can be done to many, and nothing for a mixture", () => {
    expect(actionsFor([agent(), agent()]).map((one) => one.id)).not.toContain("agent.rollback");
    expect(actionsFor([agent()]).map((one) => one.id)).toContain("agent.rollback");
    expect(actionsFor([agent(), node()])).toEqual([]);
    const start = actionById("agent.start");
    expect(hindrance(start, [agent(), agent({ status: "stopped" })])).toBe("");
    expect(hindrance(start, [agent(), agent()])).toBe("it is not stopped");
  });

  it("says what a drain does where no other node is open", () => {
    expect(actionById("node.drain").effect(node(), INPUT, AROUND)).toMatch(/^No other node is live and open/);
  });

  it("promises no move by a drain: what fits nowhere stays", () => {
    const around = {
      instances: [1, 2].map((number) => instance({ id: `i${number}` }).object as Instance),
      nodes: [node().object, node({ id: "n2", name: "beta" }).object] as Node[],
    };
    const drain = actionById("node.drain");
    expect(drain.effect(node(), INPUT, around)).toBe(
      "Nothing new is placed there. Of its 2 instances of agents, each that fits on another node moves there as its update allows; what fits nowhere stays and runs.",
    );
    expect(drain.effect(node(), INPUT, { ...around, instances: around.instances.slice(1) })).toBe(
      "Nothing new is placed there. Its instance of an agent moves to another node as its update allows, if it fits on one; if not, it stays and runs.",
    );
  });

  it("says of the removal of a node only what there is", () => {
    const remove = actionById("node.remove");
    expect(remove.effect(node(), INPUT, AROUND)).toMatch(/What it ran is replaced elsewhere\.$/);
    expect(remove.losses(node(), INPUT, AROUND)[0]).toBe("1 instance on it.");
    const bare = { ...AROUND, instances: [instance({ status: "stopped" }).object as Instance] };
    expect(remove.effect(node(), INPUT, bare)).not.toMatch(/ran/);
    expect(remove.losses(node(), INPUT, bare)).toEqual([
      "Volumes that it keeps, if any, are out of the fabric's reach.",
    ]);
  });

  it("says of a drain of a silent or stopped node that what is there does not hear of it", () => {
    for (const one of [node({ status: "unreachable" }), node({ status: "live", stopped_ms: 7 })]) {
      const drain = actionById("node.drain");
      expect(drain.effect(one, INPUT, AROUND)).toBe(
        "Nothing is heard from it: what runs there does not hear of this. Nothing new is placed there.",
      );
      expect(drain.losses(one, INPUT, AROUND)).toEqual([]);
    }
  });
});

describe("a target", () => {
  it("is safe in an address and in a shell, whatever its name", () => {
    expect(hrefOf(agent({ name: "a/b?c" }))).toBe("/agents/shop/a%2Fb%3Fc");
    expect(shellWord("web-1.1")).toBe("web-1.1");
    expect(shellWord("it's; rm -rf /")).toBe("'it'\\''s; rm -rf /'");
  });
});
