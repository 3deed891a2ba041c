/** Why a node is as it is, in sentences, from what is known of it. Pure. */
import type { Instance, Node } from "../../api/types";
import { bytes, cores, dateTime, plural, span } from "../../words/format";
import { hasEnded, hasLeft, isSilent, nodeState, type State } from "../../words/states";
import type { Concern } from "../concerning";

const HEARD: Record<string, string> = {
  live: "It is live: its proxy answers.",
  joined: "It has joined and has not been heard from yet.",
  stalled: "Its connection stands, but it does not answer its beats: what it runs is not replaced for that.",
  unreachable: "It is not heard from. What it runs is unknown until it comes back or counts as lost.",
  lost: "It has not been heard from for so long that what it ran is replaced elsewhere, as each agent says.",
};

const CLOSED: Record<string, string> = {
  open: "Instances may be placed there.",
  cordoned: "It is cordoned: nothing new is placed there, and what it runs stays.",
  draining: "It is being drained: nothing new is placed there, and what it runs moves as each agent's update allows.",
  drained: "It is drained: nothing new is placed there, and no agent has an instance there.",
};

/** With which Nexus begins what it says of a drain that does not come to an end. */
const CANNOT_END = "is being drained, and ";

const ENDED = new Set(["failed", "lost", "stopped", "succeeded"]);
const NEAR_FULL = 0.9;

/** `concern`: what Nexus says of its drain, where that does not come to an end by itself. */
export function nodeWhy(
  node: Node,
  instances: readonly Instance[],
  nowMs: number,
  concern?: Pick<Concern, "text" | "hint">,
): string[] {
  const said = node.stopped_ms
    ? stopped(node, node.stopped_ms)
    : hasLeft(node)
      ? [`It left at ${dateTime(node.since_ms)}: what it ran was ended. To remove it: omnitide nodes rm ${node.name}.`]
      : [HEARD[node.status] ?? `It is ${node.status}.`];
  if (node.unknown_since_ms && !node.stopped_ms && !hasLeft(node))
    said.push(`Nothing has been heard of it since ${dateTime(node.unknown_since_ms)}.`);
  if (node.status === "live" && node.departing && !node.stopped_ms) {
    const back =
      (node.back_within_ms ?? 0) > 0 ? `, and means to be back within ${span(node.back_within_ms ?? 0)}` : "";
    said.push(`It has said goodbye (${node.departing})${back}.`);
  }
  const takes = (node.status === "live" || node.status === "stalled") && !node.departing;
  if (takes || node.scheduling !== "open") said.push(...closed(node, concern));
  const gone = isSilent(node);
  for (const driver of gone ? [] : (node.drivers ?? [])) {
    if (driver.absent || driver.healthy) continue;
    const since = driver.silent_since_ms ? ` for ${span(nowMs - driver.silent_since_ms)}` : "";
    said.push(`Its driver ${driver.name} is unwell${since}${driver.detail ? `: ${driver.detail}` : ""}.`);
  }
  if (node.scheduling === "open" && takes) said.push(room(node));
  const counts = new Map<string, number>();
  for (const one of instances) {
    const state = one.status === "running" && one.health === "unhealthy" ? "unhealthy" : one.status;
    if (state !== "running" && !ENDED.has(state)) counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  const failed = instances.filter((one) => one.status === "failed").length;
  const running = instances.filter((one) => one.status === "running").length;
  const others = [...counts].map(([state, count]) => `${count} ${state}`);
  if (failed) others.push(`${failed} failed`);
  const lost = instances.filter((one) => one.status === "lost").length;
  if (lost) others.push(`${lost} lost`);
  said.push(
    `${plural(running, "instance")} ${gone ? (running === 1 ? "is known to run" : "are known to run") : running === 1 ? "runs" : "run"} there${others.length ? `; besides ${others.join(", ")}` : ""}.`,
  );
  return said;
}

/** Of what is gone: how it was then. What it said last of its drivers is that it goes, and not that they are unwell. */
export function driverSaid(node: Node, driver: Node["drivers"][number], nowMs: number): State {
  const version = driver.version ?? "";
  if (driver.absent) return { tone: "off", text: "not there", more: driver.detail ?? "" };
  if (isSilent(node)) return { tone: "off", text: version, more: "" };
  const silent = driver.silent_since_ms ? `silent for ${span(nowMs - driver.silent_since_ms)}` : "";
  return {
    tone: driver.healthy ? "good" : "bad",
    text: driver.healthy ? version : "unwell",
    more: [driver.detail, silent].filter(Boolean).join(", "),
  };
}

/** Whether anything is placed there. */
export function placementSaid(node: Node): string {
  if (!isSilent(node)) return node.scheduling;
  return `none: ${[nodeState(node).text, node.scheduling].filter((one) => one !== "open").join(", ")}`;
}

/** What may be there, and besides what is lost with it. */
export function instancesSaid(instances: readonly Instance[]): { there: number; more: string } {
  const lost = instances.filter((one) => one.status === "lost").length;
  return { there: instances.filter((one) => !hasEnded(one)).length, more: lost ? `and ${lost} lost` : "" };
}

function closed(node: Node, concern: Pick<Concern, "text" | "hint"> | undefined): string[] {
  const text = CLOSED[node.scheduling] ?? `Its placement is ${node.scheduling}.`;
  const since = (said: string) =>
    node.draining_since_ms ? said.replace(":", ` since ${dateTime(node.draining_since_ms)}:`) : said;
  const stays = node.scheduling === "draining" ? concern?.text.split(CANNOT_END)[1] : undefined;
  if (!concern || !stays) return [since(text)];
  return [since(`It is being drained: nothing new is placed there, and ${stays}.`), `To go on: ${concern.hint}.`];
}

/** What Nexus says of this node's drain, among what wants an eye. */
export function drainOf(node: Node, concerns: readonly Concern[]): Concern | undefined {
  return concerns.find((one) => one.subject === `node ${node.name}` && one.text.startsWith(CANNOT_END));
}

function stopped(node: Node, atMs: number): string[] {
  const said = [`Its operator stopped it at ${dateTime(atMs)}: it is back when it is started again.`];
  if (!node.back_within_ms) said.push("What it ran was ended with it.");
  else if (node.status === "live") said.push("What it ran may go on there; it is shown as it was then.");
  else if (node.status === "lost") said.push("What it ran is replaced elsewhere, as each agent says.");
  else said.push("What it ran may go on there, and is unknown until it is back or counts as lost.");
  return said;
}

function room(node: Node): string {
  const cpu = Math.max(0, (node.cpu_milli ?? 0) - (node.reserved_cpu_milli ?? 0));
  const memory = Math.max(0, (node.memory_bytes ?? 0) - (node.reserved_memory_bytes ?? 0));
  const full = [
    (node.reserved_cpu_milli ?? 0) > NEAR_FULL * (node.cpu_milli ?? 0) ? "cpu" : "",
    (node.reserved_memory_bytes ?? 0) > NEAR_FULL * (node.memory_bytes ?? 0) ? "memory" : "",
  ].filter(Boolean);
  return `It has room for ${cores(cpu)} cores and ${bytes(memory)} more${full.length ? `: its ${full.join(" and ")} is nearly all set aside` : ""}.`;
}
