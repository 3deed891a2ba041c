/** Messages of the live view (`/v1/view`), as Nexus sends them: one JSON object each. */
import type { Agent, Instance, Job, Namespace, Node } from "../api/types";

export interface Objects {
  namespace: Namespace;
  node: Node;
  agent: Agent;
  job: Job;
  instance: Instance;
}

export type Kind = keyof Objects;
export const KINDS = ["namespace", "node", "agent", "job", "instance"] as const satisfies readonly Kind[];

/** By kind and id. In a patch the objects are whole, and null for what is gone. */
type Some<Absent> = { [K in Kind]?: Record<string, Objects[K] | Absent> };

export interface Snapshot {
  kind: "snapshot";
  log: string;
  revision: number;
  time_ms: number;
  /** Counted from 1; what was known before holds until the last of `parts` is there. */
  part: number;
  parts: number;
  objects: Some<never>;
}

export interface Patch {
  kind: "patch";
  revision: number;
  time_ms: number;
  objects: Some<null>;
}

export interface Use {
  kind: "use";
  time_ms: number;
  /** By node: cpu in thousandths of a core, memory in bytes. */
  node: Record<string, [number, number]>;
}

export interface Beat {
  kind: "beat";
  revision: number;
  time_ms: number;
}

export type Frame = Snapshot | Patch | Use | Beat;

/** What came is not what a Nexus of this panel sends. */
export class Unreadable extends Error {}

const REVISED = new Set(["snapshot", "patch", "beat"]);

/** Throws Unreadable. A kind of a later Nexus that is not known here gives null. */
export function read(text: string): Frame | null {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    throw new Unreadable("a message of the view is no JSON");
  }
  if (typeof frame !== "object" || frame === null || !("kind" in frame) || typeof frame.kind !== "string") {
    throw new Unreadable("a message of the view does not say what it is");
  }
  const some = frame as Partial<Record<string, unknown>>;
  if (frame.kind !== "use" && !REVISED.has(frame.kind)) return null;
  if (typeof some.time_ms !== "number" || (REVISED.has(frame.kind) && typeof some.revision !== "number")) {
    throw new Unreadable(`a ${frame.kind} of the view has no time or revision`);
  }
  return frame as Frame;
}
