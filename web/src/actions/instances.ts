/** What can be done to an instance. */
import type { Instance } from "../api/types";
import { type Action, LIVE, made } from "./action";
import { shellWord } from "./target";

function instancePath(instance: Instance, verb: string): string {
  return `/v1/instances/${encodeURIComponent(instance.id)}/${verb}`;
}

function ended(one: Instance): string {
  return LIVE.has(one.status) || one.status === "pending" ? "" : `it is ${one.status}`;
}

export const INSTANCE_ACTIONS: readonly Action[] = [
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
];
