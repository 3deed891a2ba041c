/** What can be done to an agent. */
import type { Agent, Instance } from "../api/types";
import { plural } from "../words/format";
import { type Action, type Around, having, LIVE, made, NEWEST_THAT_WORKS } from "./action";

function agentPath(agent: Agent, verb = ""): string {
  const path = `/v1/namespaces/${encodeURIComponent(agent.namespace)}/agents/${encodeURIComponent(agent.name)}`;
  return verb ? `${path}/${verb}` : path;
}

function ofAgent(agent: Agent, around: Around): Instance[] {
  return [...around.instances].filter((one) => one.workload_id === agent.id && LIVE.has(one.status));
}

const going = (agent: Agent) => (agent.status === "removing" ? "it is being removed" : "");

export const AGENT_ACTIONS: readonly Action[] = [
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
];
