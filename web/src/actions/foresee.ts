/** What would come of an action, as Nexus sees it beforehand: asked for all that it is to be done to, together. */
import { Refused, request } from "../api/client";
import type { Outlook } from "../api/types";
import type { Action, Input } from "./action";
import type { Target } from "./target";

/** A question takes no more. */
export const MOST = 500;

export interface WantedChange {
  verb: string;
  name: string;
  namespace?: string;
  spec?: unknown;
  replicas?: number;
  version?: number;
  node?: string;
  max_unavailable?: number;
}

const FORESEEN = new Set([
  "agent.scale",
  "agent.restart",
  "agent.rollback",
  "agent.stop",
  "agent.start",
  "agent.remove",
  "instance.restart",
  "instance.migrate",
  "node.drain",
  "node.remove",
]);

/** Empty for actions that move and end nothing. */
export function wantedChanges(action: Action, targets: readonly Target[], input: Input): WantedChange[] {
  if (!FORESEEN.has(action.id) || targets.length > MOST) return [];
  return targets.map((target) => wanted(action.id, target, input));
}

function wanted(verb: string, target: Target, input: Input): WantedChange {
  if (target.kind === "node") return { verb, name: target.object.id };
  if (target.kind === "instance") return { verb, name: target.object.id, node: input.node };
  const { name, namespace } = target.object;
  if (verb === "agent.scale") return { verb, name, namespace, replicas: input.replicas };
  if (verb === "agent.restart") return { verb, name, namespace, max_unavailable: input.atOnce };
  if (verb === "agent.rollback") return { verb, name, namespace, version: input.version };
  return { verb, name, namespace };
}

/** Throws Refused. */
export function foresee(changes: readonly WantedChange[], signal: AbortSignal): Promise<Outlook> {
  return request<Outlook>("POST", "/v1/foreseen", { changes }, signal);
}

/** Where Nexus is busy and names no time. */
const AGAIN_S = 2;

/** So long until it may be asked again; 0: it is refused for good. */
export function busyForS(error: unknown): number {
  return error instanceof Refused && error.code === "busy" ? error.retryAfterS || AGAIN_S : 0;
}

/**
 * The same, asked again as long as Nexus looks ahead for others. `waits` is told each time, in seconds, that it has to wait.
 * Throws Refused, also when the signal ends the waiting.
 */
export async function foreseeWhenFree(
  changes: readonly WantedChange[],
  signal: AbortSignal,
  waits: (afterS: number) => void,
  ask = foresee,
): Promise<Outlook> {
  for (;;) {
    try {
      return await ask(changes, signal);
    } catch (error) {
      const afterS = busyForS(error);
      if (!afterS || signal.aborted) throw error;
      waits(afterS);
      await passed(afterS * 1000, signal);
      if (signal.aborted) throw error;
    }
  }
}

function passed(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
