/** What an action is done to: an object as the view has it, with its kind. */
import type { Agent, Instance, Node } from "../api/types";

export type Target =
  | { kind: "agent"; object: Agent }
  | { kind: "instance"; object: Instance }
  | { kind: "node"; object: Node };

export type TargetKind = Target["kind"];

/** As a person names it, and as the command line takes it: without the namespace that is meant anyway. */
export function nameOf(target: Target): string {
  if (target.kind === "node") return target.object.name;
  const { namespace, name } = target.object;
  return namespace === "default" ? name : `${namespace}/${name}`;
}

/** Where its page is. */
export function hrefOf(target: Target): string {
  switch (target.kind) {
    case "agent":
      return agentHref(target.object.namespace, target.object.name);
    case "instance":
      return instanceHref(target.object.id);
    case "node":
      return nodeHref(target.object.name);
  }
}

export function agentHref(namespace: string, name: string): string {
  return `/agents/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

export function instanceHref(id: string): string {
  return `/instances/${encodeURIComponent(id)}`;
}

export function nodeHref(name: string): string {
  return `/nodes/${encodeURIComponent(name)}`;
}

/** A word as a shell takes it, whatever is in it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
