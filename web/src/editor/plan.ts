/** From a text to what would come of it, by Nexus alone: what is wrong with it, or a plan. Nothing is changed. */
import { busyForS, foresee, type WantedChange } from "../actions/foresee";
import { ifAt, Refused, request } from "../api/client";
import type { AgentChanged, AgentFull, ManifestFault, ManifestsRead, Outlook } from "../api/types";
import type { Form } from "./lines";

export interface Planned {
  namespace: string;
  name: string;
  spec: unknown;
  replicas: number | null;
  /** In the text. */
  line: number;
  /** Own revision of the agent that this plan is of; 0: there is none. */
  seen: number;
  /** As it is before. */
  before: AgentFull | undefined;
  changed: AgentChanged;
}

export interface Plan {
  agents: readonly Planned[];
  outlook: Outlook | undefined;
  /** Why there is no outlook. */
  noOutlook: string;
  /** There may be one after so many seconds: Nexus looks ahead for others now. 0: no. */
  outlookAfterS: number;
}

type Seen = Pick<Plan, "outlook" | "noOutlook" | "outlookAfterS">;

export type Checked =
  | { kind: "faults"; faults: readonly ManifestFault[] }
  | { kind: "plan"; plan: Plan }
  | { kind: "failed"; message: string };

/** Of one text; more are not planned at a time. */
export const MOST_AGENTS = 200;
const AT_ONCE = 3;

export function agentPath(namespace: string, name: string): string {
  return `/v1/namespaces/${encodeURIComponent(namespace)}/agents/${encodeURIComponent(name)}`;
}

/** What is said of a text; `known`: there may be an agent by that name. Throws only what is no answer of Nexus. */
export async function check(
  text: string,
  format: Form,
  namespace: string,
  known: (namespace: string, name: string) => boolean,
  signal: AbortSignal,
): Promise<Checked> {
  try {
    const read = await request<ManifestsRead>("POST", "/v1/manifests", { text, format, namespace }, signal);
    if (read.faults.length) return { kind: "faults", faults: read.faults };
    if (read.agents.length > MOST_AGENTS) {
      return {
        kind: "failed",
        message: `The text has ${read.agents.length} agents; ${MOST_AGENTS} are planned at a time`,
      };
    }
    return await planned(read, namespace, known, signal);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { kind: "failed", message: error.hint ? `${error.message}: ${error.hint}` : error.message };
  }
}

async function planned(
  read: ManifestsRead,
  namespace: string,
  known: (namespace: string, name: string) => boolean,
  signal: AbortSignal,
): Promise<Checked> {
  const faults: ManifestFault[] = [];
  const found: (Planned | undefined)[] = read.agents.map(() => undefined);
  const waiting = read.agents.map((one, index) => ({ one, index }));
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { one, index } = next;
      const agent = { ...one, namespace: one.namespace || namespace };
      try {
        const tried = known(agent.namespace, agent.name) ? undefined : await triedAsNew(agent, signal);
        const before = tried ? undefined : await there(agent.namespace, agent.name, signal);
        const changed = tried ?? (await put(agent, before?.revision ?? 0, true, signal));
        found[index] = { ...agent, seen: before?.revision ?? 0, before, changed };
      } catch (error) {
        if (!(error instanceof Refused) || error.code === "unreachable") throw error;
        faults.push({ line: one.line, field: agent.name, message: error.message, hint: error.hint });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (faults.length) return { kind: "faults", faults };
  const agents = found.filter((one) => one !== undefined);
  return { kind: "plan", plan: { agents, ...(await looked(agents, signal)) } };
}

async function looked(agents: readonly Planned[], signal: AbortSignal): Promise<Seen> {
  const changes = agents
    .filter((one) => one.changed.change !== "unchanged")
    .map((one): WantedChange => {
      const change = { verb: "agent.deploy", name: one.name, namespace: one.namespace, spec: one.spec };
      return one.replicas === null ? change : { ...change, replicas: one.replicas };
    });
  if (!changes.length) return { outlook: undefined, noOutlook: "", outlookAfterS: 0 };
  try {
    return { outlook: await foresee(changes, signal), noOutlook: "", outlookAfterS: 0 };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const afterS = busyForS(error);
    const why = afterS ? "Nexus looks ahead for others first; it is asked again in a moment" : error.message;
    return { outlook: undefined, noOutlook: why, outlookAfterS: afterS };
  }
}

/** Undefined: there is one of this name. To ask for what is not there would be told as an error in the console. */
async function triedAsNew(
  agent: ManifestsRead["agents"][number],
  signal: AbortSignal,
): Promise<AgentChanged | undefined> {
  try {
    return await put(agent, 0, true, signal);
  } catch (error) {
    if (error instanceof Refused && error.code === "precondition-failed") return undefined;
    throw error;
  }
}

async function there(namespace: string, name: string, signal: AbortSignal): Promise<AgentFull | undefined> {
  try {
    return await request<AgentFull>("GET", agentPath(namespace, name), undefined, signal);
  } catch (error) {
    if (error instanceof Refused && error.code === "not-found") return undefined;
    throw error;
  }
}

/** Refused if the agent is not at the revision `seen` any more; 0: if there is one. */
export function put(
  agent: { namespace: string; name: string; spec: unknown; replicas: number | null },
  seen: number,
  dryRun: boolean,
  signal?: AbortSignal,
): Promise<AgentChanged> {
  const path = `${agentPath(agent.namespace, agent.name)}${dryRun ? "?dry_run=true" : ""}`;
  const body = agent.replicas === null ? { spec: agent.spec } : { spec: agent.spec, replicas: agent.replicas };
  return request<AgentChanged>("PUT", path, body, signal, ifAt(seen));
}
