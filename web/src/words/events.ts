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

/** Of Linux, from 1 on: every node that runs processes has these. */
const SIGNALS =
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS".split(
    " ",
  );

function signalText(number: number): string {
  const name = SIGNALS[number - 1];
  return `signal ${number}${name ? ` (SIG${name})` : ""}`;
}

function exitText(data: Data): string {
  const exit = (data.exit ?? {}) as Data;
  const [message, reason] = [words(exit, "message"), words(exit, "reason")];
  const coded = exit.code !== undefined && exit.code !== null;
  let text = message || words(exit, "cause") || reason;
  if (exit.signal) text = signalText(Number(exit.signal));
  else if (coded) text = `exit code ${words(exit, "code")}`;
  if (exit.out_of_memory) text += ", out of memory";
  if (reason === "trap" && message) return `${text}: ${message}`;
  const came = (reason === "exited" || reason === "signal") && (exit.signal || coded);
  const further = came && message.includes("; ") ? message.slice(message.indexOf("; ") + 2) : "";
  return further ? `${text}; ${further}` : text;
}

/** As the command line writes a length of time: `700 ms`, `5.4 s`, `12 s`, `3 m 20 s`, `2 h 5 m`, `4 d 3 h`. */
export function length(milliseconds: number): string {
  if (milliseconds < 1000) return `${milliseconds} ms`;
  if (milliseconds < 10_000) return `${Math.floor((milliseconds + 50) / 100) / 10} s`;
  const seconds = Math.floor(milliseconds / 1000);
  const units: [string, number, string, number][] = [
    ["d", 86_400, "h", 3600],
    ["h", 3600, "m", 60],
    ["m", 60, "s", 1],
  ];
  for (const [unit, size, small, part] of units) {
    if (seconds < size) continue;
    const rest = Math.floor((seconds % size) / part);
    return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${small}` : ""}`;
  }
  return `${seconds} s`;
}

function unreachable(data: Data): string {
  const waited = length(Math.floor(Number(data.waited_ms ?? 0) / 100) * 100);
  switch (data.cause) {
    case "disconnected":
      return `unreachable: its connection broke, and it was not back within ${waited}`;
    case "goodbye":
      return `unreachable: it said goodbye, and was not back within ${waited}`;
    case "stopped":
      if (!data.waited_ms) return "unreachable: its operator stopped it";
      return `unreachable: its operator stopped it, and it was not back within ${waited}`;
    case "start":
      return `unreachable: it has not connected in the ${waited} since Nexus started`;
    case "left":
      return "unreachable: it said goodbye for good";
    default:
      return "unreachable";
  }
}

function placed(data: Data): string {
  const ports = Object.entries((data.ports ?? {}) as Data).map(([name, port]) => `${name} ${String(port)}`);
  return ports.length ? `placed, ports ${ports.join(", ")}` : "placed";
}

function running(data: Data): string {
  const attempt = Number(data.attempt ?? 1);
  const handle = words(data, "handle");
  return `${attempt === 1 ? "running" : `running (attempt ${attempt})`}${handle ? `  ${handle}` : ""}`;
}

function departing(data: Data): string {
  if (data.stopped) {
    return `stopped by its operator${data.back_within_ms ? "; what runs there may go on" : ", with all that ran there"}`;
  }
  const text = with_("said goodbye", words(data, "reason"));
  return data.back_within_ms ? `${text}, back within ${length(Number(data.back_within_ms))}` : text;
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
  return [`${with_("exited", exitText(data))}; starts again`, "bad"];
}

/** The same words as the command line's; told.json holds every kind of both to it. */
const KNOWN: Record<string, (data: Data) => [string, Tone]> = {
  "instance.created": (data) => [words(data, "reason") ? `pending (${words(data, "reason")})` : "pending", "busy"],
  "instance.placed": (data) => [placed(data), "busy"],
  "instance.starting": (data) => [`starting, attempt ${Number(data.attempt ?? 1)}`, "busy"],
  "instance.running": (data) => [running(data), "good"],
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
  "agent.rollout-advanced": (data) => [data.cursor ? "rollout advanced" : "rollout at its end", "off"],
  "agent.slots-retired": () => ["slots retired", "off"],
  "node.reported": () => ["reported", "off"],
  "node.facts-changed": () => ["told new facts of itself", "off"],
  "fabric.created": () => ["created", "good"],
  "fabric.feature-level-raised": (data) => [`feature level raised to ${words(data, "level")}`, "off"],
  "namespace.created": () => ["created", "good"],
  "namespace.deleted": () => ["deleted", "off"],
  "node.joined": () => ["joined the fabric", "good"],
  "node.connected": () => ["connected", "good"],
  "node.unreachable": (data) => [unreachable(data), "bad"],
  "node.lost": () => ["lost", "bad"],
  "node.departing": (data) => [departing(data), "wait"],
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
