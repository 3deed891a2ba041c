/** What can be done to a node. */
import type { Instance, Node } from "../api/types";
import { plural } from "../words/format";
import { isSilent } from "../words/states";
import { type Action, type Around, having, LIVE, made } from "./action";

function nodePath(node: Node, verb = ""): string {
  const path = `/v1/nodes/${encodeURIComponent(node.id)}`;
  return verb ? `${path}/${verb}` : path;
}

function onNode(node: Node, around: Around): Instance[] {
  return [...around.instances].filter((one) => one.node_id === node.id && LIVE.has(one.status));
}

export const NODE_ACTIONS: readonly Action[] = [
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
        if (isSilent(node)) {
          return "Nothing is heard from it: what runs there does not hear of this. Nothing new is placed there.";
        }
        const others = [...around.nodes].filter(
          (one) => one.id !== node.id && one.status === "live" && one.scheduling === "open" && !isSilent(one),
        );
        const moving = onNode(node, around).filter((one) => one.kind === "agent").length;
        if (!moving) return "It runs no agents. Nothing new is placed there.";
        const one = moving === 1;
        if (!others.length)
          return `No other node is live and open: ${plural(moving, "instance")} ${one ? "stays and runs" : "stay and run"} until there is room.`;
        return one
          ? "Nothing new is placed there. Its instance of an agent moves to another node as its update allows, if it fits on one; if not, it stays and runs."
          : `Nothing new is placed there. Of its ${plural(moving, "instance")} of agents, each that fits on another node moves there as its update allows; what fits nowhere stays and runs.`;
      },
      losses: (node, _input, around) => {
        if (isSilent(node)) return [];
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
      effect: (node, _input, around) => {
        const out = "Its certificate opens nothing any more; to come back it has to join anew.";
        return onNode(node, around).length ? `${out} What it ran is replaced elsewhere.` : out;
      },
      losses: (node, _input, around) => {
        const there = onNode(node, around).length;
        return [
          ...(there ? [`${plural(there, "instance")} on it.`] : []),
          "Volumes that it keeps, if any, are out of the fabric's reach.",
        ];
      },
    },
  ),
];
