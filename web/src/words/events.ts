/** Events in a few words. One of a kind that is not known here is shown by its kind: nothing is left out. */
import type { CloudEvent } from "../api/types";
import { plural } from "./format";
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

function pairs(value: unknown): string {
  return value && typeof value === "object"
    ? Object.entries(value)
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([key, text]) => `${key}=${String(text)}`)
        .join(", ")
    : "";
}

/** Of what somebody asked for, that it was so, and no ill. */
function exited(data: Data): [string, Tone] {
  const exit = (data.exit ?? {}) as Data;
  if (exit.cause === "values-changed") return [`was stopped ${words(exit, "message")}; starts again`, "off"];
  if (exit.reason === "stopped" || exit.reason === "killed") return ["was stopped, as asked; starts again", "off"];
  return [with_("exited", exitText(data)), "bad"];
}

/** The same words as the command line's; told.json holds some of both to it. */
const KNOWN: Record<string, (data: Data) => [string, Tone]> = {
  "instance.created": (data) => [words(data, "reason") ? `pending (${words(data, "reason")})` : "pending", "busy"],
  "instance.placed": () => ["placed", "busy"],
  "instance.starting": () => ["starting", "busy"],
  "instance.running": () => ["running", "good"],
  "instance.exited": exited,
  "instance.ended": (data) => [
    with_(words(data, "status") || "ended", exitText(data)),
    data.status === "failed" ? "bad" : "off",
  ],
  "instance.lost": () => ["lost with its node", "bad"],
  "instance.stop-requested": (data) => [with_("being stopped", words(data, "reason")), "off"],
  "instance.health-changed": (data) =>
    data.health === "unknown"
      ? [
          with_(
            words(data, "message").includes(" probe fails: ") ? "not ready" : "health unknown",
            words(data, "message"),
          ),
          "wait",
        ]
      : [words(data, "health") || "health changed", data.health === "unhealthy" ? "bad" : "good"],
  "instance.recovered": () => ["came back with its node", "good"],
  "agent.created": (data) => [`created, ${plural(Number(data.replicas ?? 0), "replica")}`, "good"],
  "agent.updated": (data) => [`updated to version ${words(data, "version")}`, "busy"],
  "agent.restarted": (data) => [`being restarted, version ${words(data, "version")}`, "busy"],
  "agent.rolled-back": (data) => [
    with_(
      `rolled back to version ${words(data, "source")}, as version ${words(data, "version")}`,
      words(data, "cause"),
    ),
    "wait",
  ],
  "agent.version-proven": (data) => [`version ${words(data, "version")} is known to work`, "good"],
  "agent.rollout-paused": () => ["rollout paused", "wait"],
  "agent.rollout-resumed": () => ["rollout resumed", "busy"],
  "agent.rollout-stumbled": (data) =>
    data.slot
      ? [`rollout halted: its replica ${words(data, "slot")} ends again and again before it is available`, "bad"]
      : ["what ended again and again runs well: the rollout goes on", "good"],
  "agent.rollout-late": (data) =>
    data.slot
      ? [`rollout halted: its replica ${words(data, "slot")} is not available in time`, "bad"]
      : ["what was not available in time is by now: the rollout goes on", "good"],
  "agent.scaled": (data) => [
    `scaled to ${words(data, "replicas")}${data.owner === "manifest" ? ", as its manifest says" : ""}`,
    "busy",
  ],
  "agent.stopped": () => ["stopped", "off"],
  "agent.started": () => ["started", "busy"],
  "agent.deleted": () => ["being removed", "off"],
  "agent.removed": () => ["removed", "off"],
  "job.created": () => ["created", "busy"],
  "job.cancelled": () => ["being cancelled", "off"],
  "job.finished": (data) => [
    with_(words(data, "outcome") || "finished", exitText(data)),
    data.outcome === "succeeded" ? "good" : data.outcome === "cancelled" ? "off" : "bad",
  ],
  "job.deleted": () => ["being removed", "off"],
  "job.removed": () => ["removed", "off"],
  "node.joined": () => ["joined the fabric", "good"],
  "node.connected": () => ["connected", "good"],
  "node.unreachable": () => ["unreachable", "bad"],
  "node.lost": () => ["lost", "bad"],
  "node.departing": (data) => [with_("said goodbye", words(data, "reason")), "wait"],
  "node.driver-silent": (data) => [
    with_(`has no answer from its driver ${words(data, "driver")}: what that runs is unknown`, words(data, "detail")),
    "bad",
  ],
  "node.driver-answers": (data) => [`hears its driver ${words(data, "driver")} again`, "good"],
  "node.key-offered": () => ["was given a certificate for a new key", "off"],
  "node.key-changed": () => ["uses its new key", "off"],
  "node.port-refused": (data) => [`cannot give port ${words(data, "port")}: something else there has it`, "wait"],
  "node.labelled": (data) => [`labelled ${pairs(data.labels) || "with nothing any more"}`, "off"],
  "node.cordoned": () => ["cordoned", "wait"],
  "node.uncordoned": () => ["uncordoned", "good"],
  "node.drain-started": () => ["draining", "wait"],
  "node.drained": () => ["drained", "wait"],
  "node.removed": () => ["removed", "off"],
  "secret.changed": (data) => [`has version ${words(data, "version")}`, "off"],
  "config.changed": (data) => [`has version ${words(data, "version")}`, "off"],
  "token.issued": (data) => [with_(`issued to ${words(data, "purpose")}`, words(data, "note")), "off"],
  "token.used": (data) => [data.node ? "used by a node to join" : "used to log in to the panel", "off"],
  "token.revoked": () => ["revoked", "off"],
};

export function tell(event: CloudEvent): Told {
  const kind = kindOf(event);
  const data = (event.data ?? {}) as Data;
  const [text, tone] = KNOWN[kind]?.(data) ?? [kind.slice(kind.indexOf(".") + 1).replaceAll("-", " "), "off" as Tone];
  const subject = event.subject.replace(/^(\w+)\//, "$1 ").replace(" default/", " ");
  return {
    kind,
    subject,
    text: event.by ? `${text}, by ${event.by}` : text,
    tone,
    node: words(data, "node_name"),
    atMs: Date.parse(event.time),
  };
}
