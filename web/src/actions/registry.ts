/**
 * Everything that can be done from the panel, once: buttons, keys, the palette and the map all take it from here. An
 * action says whether it can be done to an object now, what it asks of Nexus, what is lost by it, and the same on the
 * command line.
 */
import type { Agent, Instance, Node } from "../api/types";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { count, plural } from "../words/format";
import { nameOf, shellWord, type Target, type TargetKind } from "./target";

/** What a person has to say besides. */
export type Ask =
  | { kind: "replicas"; title: string }
  | { kind: "version"; title: string }
  | { kind: "node"; title: string }
  | { kind: "atOnce"; title: string };

export interface Input {
  replicas: number;
  /** 0: the newest earlier one that is known to work, with another spec. */
  version: number;
  /** Empty: Nexus chooses. */
  node: string;
  /** Replicas that may be away at once; 0: as many as the agent's update allows. */
  atOnce: number;
}

export const MOST_REPLICAS = 100_000;

/** What is asked of a person who typed no number that there could be; empty: all is well. */
export function amiss(input: Input): string {
  if (Number.isNaN(input.replicas)) return "How many?";
  const whole = (number: number) => Number.isInteger(number) && number >= 0 && number <= MOST_REPLICAS;
  if (!whole(input.replicas)) return `A whole number is asked for, from 0 to ${count(MOST_REPLICAS)}.`;
  if (!whole(input.atOnce)) return `A whole number is asked for, from 1 to ${count(MOST_REPLICAS)}.`;
  return "";
}

export interface Asked {
  method: "POST" | "DELETE";
  path: string;
  body?: Record<string, unknown>;
}

/** What the panel sees besides the object itself. */
export interface Around {
  instances: Iterable<Instance>;
  nodes: Iterable<Node>;
}

export interface Action {
  id: string;
  title: string;
  /** Of the keyboard, where something of its kind is chosen; of one letter, as typed. */
  key: string;
  /** What else it is found by: as the command line has it, if that is not the title, and plain synonyms; lower case. */
  words: readonly string[];
  kind: TargetKind;
  /** In red, and with the word of what it is. */
  grave?: boolean;
  /** For a map and a table, where many may be chosen. */
  many: boolean;
  ask?: Ask;
  /** Why it cannot be done now; empty if it can. */
  hindrance(target: Target): string;
  request(target: Target, input: Input): Asked;
  /** Behind `omnitide`. */
  command(target: Target, input: Input): string;
  /** What happens, in a sentence. */
  effect(target: Target, input: Input, around: Around): string;
  /** What is lost or interrupted; each in a sentence. */
  losses(target: Target, input: Input, around: Around): string[];
  /** Past tense, behind the name: `web` `is to have 5 replicas`. */
  done(input: Input): string;
}

/** To which a rollback goes that names none. */
export const NEWEST_THAT_WORKS = "the newest earlier version that is known to work and differs";

const NO_LOSS = (): string[] => [];

function agentPath(agent: Agent, verb = ""): string {
  const path = `/v1/namespaces/${encodeURIComponent(agent.namespace)}/agents/${encodeURIComponent(agent.name)}`;
  return verb ? `${path}/${verb}` : path;
}

function instancePath(instance: Instance, verb: string): string {
  return `/v1/instances/${encodeURIComponent(instance.id)}/${verb}`;
}

function nodePath(node: Node, verb = ""): string {
  const path = `/v1/nodes/${encodeURIComponent(node.id)}`;
  return verb ? `${path}/${verb}` : path;
}

type Parts<T> = {
  hindrance?(object: T): string;
  request(object: T, input: Input): Asked;
  command(name: string, input: Input): string;
  effect(object: T, input: Input, around: Around): string;
  losses?(object: T, input: Input, around: Around): string[];
};
type Said = Pick<Action, "id" | "title" | "key" | "done"> & {
  words?: readonly string[];
  grave?: boolean;
  ask?: Ask;
  many?: boolean;
};

interface ObjectOf {
  agent: Agent;
  instance: Instance;
  node: Node;
}

function made<K extends TargetKind>(kind: K, said: Said, parts: Parts<ObjectOf[K]>): Action {
  const of = (target: Target): ObjectOf[K] => {
    if (target.kind !== kind) throw new Error(`${said.id} is not for ${target.kind}`);
    return target.object as ObjectOf[K];
  };
  return {
    ...said,
    words: said.words ?? [],
    kind,
    many: said.many ?? true,
    hindrance: (target) =>
      target.kind === kind
        ? (parts.hindrance?.(of(target)) ?? "")
        : `not for ${target.kind === "node" ? "a" : "an"} ${target.kind}`,
    request: (target, input) => parts.request(of(target), input),
    command: (target, input) => parts.command(shellWord(nameOf(target)), input),
    effect: (target, input, around) => parts.effect(of(target), input, around),
    losses: (target, input, around) => parts.losses?.(of(target), input, around) ?? NO_LOSS(),
  };
}

export const LIVE: ReadonlySet<string> = new Set(["placed", "starting", "running", "stopping", "unknown"]);

function ofAgent(agent: Agent, around: Around): Instance[] {
  return [...around.instances].filter((one) => one.workload_id === agent.id && LIVE.has(one.status));
}

function onNode(node: Node, around: Around): Instance[] {
  return [...around.instances].filter((one) => one.node_id === node.id && LIVE.has(one.status));
}

const having = (number: number, noun: string) => `${plural(number, noun)} ${number === 1 ? "has" : "have"}`;

const going = (agent: Agent) => (agent.status === "removing" ? "it is being removed" : "");

export const ACTIONS: readonly Action[] = [
  made(
    "agent",
    {
      id: "agent.scale",
      title: "Scale",
      key: "s",
      words: ["replicas"],
      ask: { kind: "replicas", title: "Replicas" },
      done: (input) => `is to have ${plural(input.replicas, "replica")}`,
    },
    {
      hindrance: going,
      request: (agent, input) => ({
        method: "POST",
        path: agentPath(agent, "scale"),
        body: { replicas: input.replicas },
      }),
      command: (name, input) => `scale ${name} ${input.replicas}`,
      effect: (agent, input) => {
        const more = input.replicas - agent.replicas;
        if (more === 0) return "Nothing changes: it has that many.";
        return more > 0
          ? `${plural(more, "further replica")} will start where there is room.`
          : `${plural(-more, "replica")} will stop.`;
      },
      losses: (agent, input) =>
        input.replicas < agent.replicas
          ? [`What ${having(agent.replicas - input.replicas, "replica")} in memory is gone.`]
          : [],
    },
  ),
  made(
    "agent",
    {
      id: "agent.restart",
      title: "Restart",
      key: "r",
      words: ["reboot"],
      ask: { kind: "atOnce", title: "Replicas away at once, at most, of each agent" },
      done: () => "restarts, a few replicas at a time",
    },
    {
      hindrance: (agent) => going(agent) || (agent.status === "stopped" ? "it is stopped" : ""),
      request: (agent, input) => ({
        method: "POST",
        path: agentPath(agent, "restart"),
        body: input.atOnce ? { max_unavailable: input.atOnce } : {},
      }),
      command: (name, input) => `restart ${name}${input.atOnce ? ` --max-unavailable ${input.atOnce}` : ""}`,
      effect: (agent, input) =>
        `Each of its ${plural(agent.replicas, "replica")} is replaced by a new one, ${
          input.atOnce ? `${input.atOnce} at a time at most` : "as many at a time as its update allows"
        }.`,
      losses: (agent, _input, around) => [
        `What ${having(ofAgent(agent, around).length, "instance")} in memory is gone.`,
      ],
    },
  ),
  made(
    "agent",
    {
      id: "agent.rollback",
      title: "Roll back",
      key: "b",
      words: ["rollback", "undo", "revert"],
      ask: { kind: "version", title: "To version" },
      many: false,
      done: (input) => `rolls back to ${input.version ? `v${input.version}` : NEWEST_THAT_WORKS}`,
    },
    {
      hindrance: (agent) => going(agent) || (agent.version < 2 ? "it has one version only" : ""),
      request: (agent, input) => ({
        method: "POST",
        path: agentPath(agent, "rollback"),
        body: { version: input.version },
      }),
      command: (name, input) => `rollback ${name}${input.version ? ` --to ${input.version}` : ""}`,
      effect: (agent, input) =>
        `The spec of ${input.version ? `v${input.version}` : NEWEST_THAT_WORKS} rolls out as v${agent.version + 1}.`,
    },
  ),
  made(
    "agent",
    {
      id: "agent.pause",
      title: "Pause rollout",
      key: "p",
      words: ["rollout pause", "hold"],
      done: () => "holds its rollout",
    },
    {
      hindrance: (agent) =>
        !agent.rollout
          ? "nothing is being rolled out"
          : agent.rollout.paused
            ? "its rollout is paused"
            : agent.rollout.halted
              ? "its rollout is halted: nothing goes on that could be held"
              : "",
      request: (agent) => ({ method: "POST", path: agentPath(agent, "rollout/pause"), body: {} }),
      command: (name) => `rollout pause ${name}`,
      effect: () => "No further replica gets the new version until it is resumed. What runs of either stays.",
    },
  ),
  made(
    "agent",
    {
      id: "agent.resume",
      title: "Resume rollout",
      key: "u",
      words: ["rollout resume", "continue"],
      done: () => "goes on with its rollout",
    },
    {
      hindrance: (agent) =>
        !agent.rollout ? "nothing is being rolled out" : agent.rollout.paused ? "" : "it is not paused",
      request: (agent) => ({ method: "POST", path: agentPath(agent, "rollout/resume"), body: {} }),
      command: (name) => `rollout resume ${name}`,
      effect: () => "The new version goes on to the other replicas.",
    },
  ),
  made(
    "agent",
    { id: "agent.stop", title: "Stop", key: "x", grave: true, done: () => "is to stop" },
    {
      hindrance: (agent) => going(agent) || (agent.status === "stopped" ? "it is stopped" : ""),
      request: (agent) => ({ method: "POST", path: agentPath(agent, "stop"), body: {} }),
      command: (name) => `stop ${name}`,
      effect: (agent) =>
        `All of its ${plural(agent.replicas, "replica")} stop. It stays, with its versions; start brings it back.`,
      losses: (agent, _input, around) => {
        const count = ofAgent(agent, around).length;
        return [`Nothing serves what it serves, and what ${having(count, "instance")} in memory is gone.`];
      },
    },
  ),
  made(
    "agent",
    { id: "agent.start", title: "Start", key: "t", done: () => "is to start" },
    {
      hindrance: (agent) => (agent.status === "stopped" ? "" : "it is not stopped"),
      request: (agent) => ({ method: "POST", path: agentPath(agent, "start"), body: {} }),
      command: (name) => `start ${name}`,
      effect: (agent) => `Its ${plural(agent.replicas, "replica")} start where there is room.`,
    },
  ),
  made(
    "agent",
    {
      id: "agent.remove",
      title: "Remove",
      key: "D",
      words: ["rm", "delete"],
      grave: true,
      done: () => "is to be removed",
    },
    {
      hindrance: going,
      request: (agent) => ({ method: "DELETE", path: agentPath(agent) }),
      command: (name) => `rm ${name}`,
      effect: () => "Its instances stop and the agent is forgotten.",
      losses: (agent, _input, around) => [
        `${plural(ofAgent(agent, around).length, "instance")} with what they have in memory and their output.`,
        `Its ${plural(agent.version, "version")}: there is no way back to them.`,
      ],
    },
  ),
  made(
    "instance",
    {
      id: "instance.restart",
      title: "Restart",
      key: "r",
      words: ["reboot"],
      done: () => "is replaced by its next generation",
    },
    {
      hindrance: (one) => (one.kind === "job" ? "a task of a job is not restarted" : ended(one)),
      request: (one) => ({ method: "POST", path: instancePath(one, "restart"), body: {} }),
      command: (name) => `restart ${name}`,
      effect: () => "It stops, and its next generation starts where there is room.",
      losses: () => ["What it has in memory is gone."],
    },
  ),
  made(
    "instance",
    {
      id: "instance.migrate",
      title: "Migrate",
      key: "m",
      words: ["move"],
      ask: { kind: "node", title: "To node" },
      done: (input) => (input.node ? `moves to ${input.node}` : "moves to another node"),
    },
    {
      hindrance: (one) =>
        one.kind === "job" ? "a task of a job does not move" : one.node ? ended(one) : "it is on no node yet",
      request: (one, input) => ({ method: "POST", path: instancePath(one, "migrate"), body: { node: input.node } }),
      command: (name, input) => `migrate ${name}${input.node ? ` --to ${shellWord(input.node)}` : ""}`,
      effect: (one, input) =>
        `Its next generation starts on ${input.node || "another node that can take it"}; it stops on ${one.node} once that is available.`,
      losses: () => ["What it has in memory does not move with it."],
    },
  ),
  made(
    "node",
    { id: "node.cordon", title: "Cordon", key: "c", words: ["nodes cordon"], done: () => "is closed to new instances" },
    {
      hindrance: (node) => (node.scheduling === "open" ? "" : `it is ${node.scheduling}`),
      request: (node) => ({ method: "POST", path: nodePath(node, "cordon"), body: {} }),
      command: (name) => `nodes cordon ${name}`,
      effect: () => "Nothing new is placed there. What it runs stays.",
    },
  ),
  made(
    "node",
    { id: "node.uncordon", title: "Uncordon", key: "u", words: ["nodes uncordon"], done: () => "is open again" },
    {
      hindrance: (node) => (node.scheduling === "open" ? "it is open" : ""),
      request: (node) => ({ method: "POST", path: nodePath(node, "uncordon"), body: {} }),
      command: (name) => `nodes uncordon ${name}`,
      effect: () => "Instances may be placed there again. What was moved away does not come back by itself.",
    },
  ),
  made(
    "node",
    {
      id: "node.drain",
      title: "Drain",
      key: "d",
      words: ["nodes drain", "evacuate"],
      grave: true,
      done: () => "is being drained",
    },
    {
      hindrance: (node) =>
        node.scheduling === "draining" || node.scheduling === "drained" ? `it is ${node.scheduling}` : "",
      request: (node) => ({ method: "POST", path: nodePath(node, "drain"), body: {} }),
      command: (name) => `drain ${name}`,
      effect: (node, _input, around) => {
        const others = [...around.nodes].filter(
          (one) => one.id !== node.id && one.status === "live" && one.scheduling === "open",
        );
        const moving = onNode(node, around).filter((one) => one.kind === "agent").length;
        if (!moving) return "It runs no agents. Nothing new is placed there.";
        if (!others.length)
          return `No other node is live and open: ${plural(moving, "instance")} stay and run until there is room.`;
        return `${plural(moving, "instance")} of agents are to move to ${plural(others.length, "other node")} as their update allows; what fits nowhere stays and runs.`;
      },
      losses: (node, _input, around) => {
        const there = onNode(node, around);
        const moving = there.filter((one) => one.kind === "agent").length;
        const tasks = there.length - moving;
        return [
          ...(moving
            ? [`What ${having(moving, "instance")} in memory does not move with ${moving === 1 ? "it" : "them"}.`]
            : []),
          ...(tasks
            ? [`${plural(tasks, "task")} of jobs ${tasks === 1 ? "runs to its" : "run to their"} end there.`]
            : []),
        ];
      },
    },
  ),
  made(
    "node",
    {
      id: "node.remove",
      title: "Remove",
      key: "D",
      words: ["nodes rm", "rm", "delete"],
      grave: true,
      many: false,
      done: () => "is out of the fabric",
    },
    {
      request: (node) => ({ method: "DELETE", path: nodePath(node) }),
      command: (name) => `nodes rm ${name}`,
      effect: () =>
        "Its certificate opens nothing any more; to come back it has to join anew. What it ran is replaced elsewhere.",
      losses: (node, _input, around) => [
        `${plural(onNode(node, around).length, "instance")} on it.`,
        "The volumes that it keeps are out of the fabric's reach.",
      ],
    },
  ),
];

function ended(one: Instance): string {
  return LIVE.has(one.status) || one.status === "pending" ? "" : `it is ${one.status}`;
}

export function actionById(id: string): Action {
  const found = ACTIONS.find((one) => one.id === id);
  if (!found) throw new Error(`there is no action ${id}`);
  return found;
}

/** Those for all of what is chosen, if it is of one kind. */
export function actionsFor(targets: readonly Target[]): Action[] {
  const kind = targets[0]?.kind;
  if (!kind || targets.some((one) => one.kind !== kind)) return [];
  return ACTIONS.filter((one) => one.kind === kind && (one.many || targets.length === 1));
}

/** Why it can be done to none of them; empty if to some. */
export function hindrance(action: Action, targets: readonly Target[]): string {
  if (pastRevision()) return IN_THE_PAST;
  const said = targets.map((one) => action.hindrance(one));
  return said.some((one) => !one) ? "" : (said[0] ?? "nothing is chosen");
}
