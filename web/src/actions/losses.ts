/** What is lost by an action, of all that it is done to. Pure. */
import type { Instance } from "../api/types";
import { plural } from "../words/format";
import { type Action, type Around, type Input, LIVE } from "./action";
import { nameOf, type Target } from "./target";

/** Of more than these, what is lost is summed up. */
const NAMED = 6;

export interface Lost {
  /** In sentences. */
  told: string[];
  /** Where those sum up: of each by its name. */
  each: string[];
}

/** `around` gives what the panel sees anew at each call. */
export function lostBy(action: Action, targets: readonly Target[], input: Input, around: () => Around): Lost {
  const [first] = targets;
  if (first && targets.length === 1) return { told: action.losses(first, input, around()), each: [] };
  const each = targets.flatMap((one) => action.losses(one, input, around()).map((loss) => `${nameOf(one)}: ${loss}`));
  if (targets.length <= NAMED) return { told: each, each: [] };
  const told = SUMS[action.id]?.(targets, input, around()) ?? [];
  return { told, each: told.length ? each : [] };
}

const SUMS: Record<string, (targets: readonly Target[], input: Input, around: Around) => string[]> = {
  "agent.scale": (targets, input) => {
    const fewer = targets.map((one) => (one.kind === "agent" ? Math.max(0, one.object.replicas - input.replicas) : 0));
    const who = plural(fewer.filter(Boolean).length, "agent");
    return gone(total(fewer), "replica", `${who} `, "in memory is gone");
  },
  "agent.restart": (targets, _input, around) => {
    const there = live(targets, around);
    return gone(there.length, "instance", `${plural(targets.length, "agent")} `, "in memory is gone");
  },
  "agent.stop": (targets, _input, around) => {
    const there = plural(live(targets, around).length, "instance");
    const agents = plural(targets.length, "agent");
    return [`Nothing serves what they serve, and what ${there} of ${agents} have in memory is gone.`];
  },
  "agent.remove": (targets, _input, around) => {
    const there = plural(live(targets, around).length, "instance");
    const versions = total(targets.map((one) => (one.kind === "agent" ? one.object.version : 0)));
    return [
      `${there} of ${plural(targets.length, "agent")} with what they have in memory and their output.`,
      `Their ${plural(versions, "version")}: there is no way back to them.`,
    ];
  },
  "instance.restart": (targets) => gone(targets.length, "instance", "", "in memory is gone"),
  "instance.migrate": (targets) => gone(targets.length, "instance", "", "in memory does not move with them"),
  "node.drain": (targets, _input, around) => {
    const there = live(targets, around);
    const tasks = there.filter((one) => one.kind === "job").length;
    const nodes = `${plural(targets.length, "node")} `;
    return [
      ...gone(there.length - tasks, "instance", nodes, "in memory does not move with them"),
      ...(tasks ? [`${plural(tasks, "task")} of jobs ${tasks === 1 ? "runs to its" : "run to their"} end there.`] : []),
    ];
  },
};

function gone(number: number, noun: string, of: string, what: string): string[] {
  const have = number === 1 ? "has" : "have";
  return number ? [`What ${plural(number, noun)} ${of ? `of ${of}` : ""}${have} ${what}.`] : [];
}

/** What runs of agents, or on nodes. */
function live(targets: readonly Target[], around: Around): Instance[] {
  const ids = new Set(targets.map((one) => one.object.id));
  return [...around.instances].filter(
    (one) => LIVE.has(one.status) && (ids.has(one.workload_id) || ids.has(one.node_id)),
  );
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}
