/** Nodes, instances and agents for the tests of the model. */
import type { Agent, Instance, Node } from "../../api/types";
import type { Sight } from "./city";

export function node(id: string, more: Partial<Node> = {}): Node {
  const joined = Number(/\d+$/.exec(id)?.[0] ?? 0);
  return {
    id,
    name: id,
    status: "live",
    scheduling: "open",
    since_ms: 0,
    joined_ms: joined,
    revision: 1,
    cpu_milli: 8_000,
    memory_bytes: 1 << 30,
    labels: { zone: "one" },
    drivers: [],
    ...more,
  } as Node;
}

export function instance(id: string, on: string, more: Partial<Instance> = {}): Instance {
  const status = more.status ?? (on ? "running" : "pending");
  return {
    id,
    name: id,
    namespace: "default",
    kind: "agent",
    workload: "web",
    workload_id: "web",
    slot: 1,
    generation: 1,
    status,
    // As Nexus says it: what its probes find is the word of it.
    condition: more.health === "unhealthy" ? "unhealthy" : status,
    last_status: "running",
    health: "healthy",
    node: on,
    node_id: on,
    version: 1,
    attempt: 1,
    created_ms: Number(/\d+$/.exec(id)?.[0] ?? 0),
    since_ms: 0,
    revision: 1,
    ...more,
  } as Instance;
}

export function agent(id: string, more: Partial<Agent> = {}): Agent {
  return { id, name: id, namespace: "default", driver: "process", version: 1, ...more } as Agent;
}

function byId<T extends { id: string }>(all: readonly T[]): Map<string, T> {
  return new Map(all.map((one) => [one.id, one]));
}

export function sight(
  nodes: readonly Node[],
  instances: readonly Instance[] = [],
  agents: readonly Agent[] = [agent("web")],
): Sight {
  return { nodes: byId(nodes), instances: byId(instances), agents: byId(agents), jobs: new Map(), by: "zone" };
}

/** Always the same numbers, from 0 to 1. */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
