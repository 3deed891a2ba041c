/** Events in a few words. One of a kind that is not known here is shown by its kind: nothing is left out. */
import type { CloudEvent } from "../api/types";
import type { Tone } from "./states";

export interface Told {
  kind: string;
  subject: string;
  text: string;
  tone: Tone;
  node: string;
  atMs: number;
}

/** Facts that the fabric needs and people hardly ever; the command line leaves the same ones out. */
const BOOKKEEPING = new Set(["node.reported", "node.facts-changed", "agent.rollout-advanced", "agent.slots-retired"]);

export function ofInterest(event: CloudEvent): boolean {
  return !BOOKKEEPING.has(kindOf(event));
}

function kindOf(event: CloudEvent): string {
  return event.type.replace(/^omnitide\./, "").replace(/\.v\d+$/, "");
}

type Data = Record<string, unknown>;

function words(data: Data, name: string): string {
  const value = data[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function exitText(data: Data): string {
  const exit = (data.exit ?? {}) as Data;
  const memory = exit.out_of_memory ? ", out of memory" : "";
  if (exit.signal) return `signal ${words(exit, "signal")}${memory}`;
  if (exit.code !== undefined && exit.code !== null) return `exit code ${words(exit, "code")}${memory}`;
  return words(exit, "message") || words(exit, "reason");
}

function with_(text: string, more: string): string {
  return more ? `${text}: ${more}` : text;
}

const KNOWN: Record<string, (data: Data) => [string, Tone]> = {
  "instance.created": () => ["is to be placed", "busy"],
  "instance.placed": () => ["placed", "busy"],
  "instance.starting": () => ["starting", "busy"],
  "instance.running": () => ["running", "good"],
  "instance.exited": (data) => [with_("exited", exitText(data)), "bad"],
  "instance.ended": (data) => [
    with_(words(data, "status") || "ended", exitText(data)),
    data.status === "failed" ? "bad" : "off",
  ],
  "instance.lost": () => ["lost with its node", "bad"],
  "instance.stopping": () => ["stopping", "off"],
  "instance.health-changed": (data) => [
    words(data, "health") || "health changed",
    data.health === "unhealthy" ? "bad" : "good",
  ],
  "agent.created": () => ["deployed", "good"],
  "agent.changed": () => ["a new version", "busy"],
  "agent.scaled": (data) => [`scaled to ${words(data, "replicas")}`, "busy"],
  "agent.removed": () => ["removed", "off"],
  "node.joined": () => ["joined the fabric", "good"],
  "node.connected": () => ["connected", "good"],
  "node.unreachable": () => ["unreachable", "bad"],
  "node.lost": () => ["lost", "bad"],
  "node.departing": (data) => [with_("said goodbye", words(data, "reason")), "wait"],
  "token.issued": (data) => [`issued: ${words(data, "purpose")}`, "off"],
  "token.used": (data) => [data.node ? "used by a node to join" : "used to log in", "off"],
  "token.revoked": () => ["revoked", "off"],
};

export function tell(event: CloudEvent): Told {
  const kind = kindOf(event);
  const data = (event.data ?? {}) as Data;
  const [text, tone] = KNOWN[kind]?.(data) ?? [kind.slice(kind.indexOf(".") + 1).replaceAll("-", " "), "off" as Tone];
  const subject = event.subject.replace(/^(\w+)\//, "$1 ").replace(" default/", " ");
  return { kind, subject, text, tone, node: words(data, "node_name"), atMs: Date.parse(event.time) };
}
