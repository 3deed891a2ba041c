/** What output is asked for: as the address has it, as Nexus takes it, and as the command line says it. Pure. */
import { shellWord, type Target } from "../../actions/target";

export interface Asked {
  /** `agent:shop/web`, `instance:web-1.2`, `job:once`, `node:alpha`. */
  of: readonly string[];
  grep: string;
  regex: boolean;
  /** Case counts. */
  exact: boolean;
  /** As they were typed: `10m`, `14:05`, `2026-11-26 14:05`; empty: no bound. */
  since: string;
  until: string;
}

/** Nexus takes no more. */
export const MOST_SUBJECTS = 200;

export function subjectOf(target: Target): string {
  if (target.kind === "node") return `node:${target.object.name}`;
  const { namespace, name } = target.object;
  return `${target.kind}:${namespace === "default" ? name : `${namespace}/${name}`}`;
}

export function logsHref(of: readonly string[]): string {
  return `/logs?of=${of.map(encodeURIComponent).join(",")}`;
}

/** What an address names, once or more often; a bare name is an agent's, as on the command line. */
export function subjectsIn(address: string | readonly string[]): string[] {
  const named = [address].flat().flatMap((one) => one.split(",").filter(Boolean));
  return [...new Set(named.map((one) => (one.includes(":") ? one : `agent:${one}`)))];
}

/** `web, db and 3 more`. */
export function namesOf(of: readonly string[]): string {
  const names = of.map((one) => one.slice(one.indexOf(":") + 1));
  return names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
}

const OF_DAY = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/;
const DAY = /^\d{4}-\d{2}-\d{2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?$/;
const AGO = /^\d+(\.\d+)?\s*(ms|s|m|h|d)$/;

/** As Nexus takes it; undefined for what is no time. A time of the day is the last that there was, in this browser's
 * zone; `nowMs` by Nexus's clock. */
export function momentOf(text: string, nowMs: number): string | undefined {
  const typed = text.trim();
  if (!typed || AGO.test(typed)) return typed.replaceAll(" ", "");
  const found = OF_DAY.exec(typed);
  if (found) {
    const [hour, minute, second] = [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
    if (hour > 23 || minute > 59 || second > 59) return undefined;
    const at = new Date(nowMs);
    at.setHours(hour, minute, second, 0);
    if (at.getTime() > nowMs) at.setDate(at.getDate() - 1);
    return at.toISOString();
  }
  if (DAY.test(typed)) {
    const at = new Date(typed.length > 10 ? typed.replace(" ", "T") : `${typed}T00:00`);
    return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
  }
  const at = new Date(typed);
  return /[zZ]$|[+-]\d{2}:?\d{2}$/.test(typed) && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined;
}

/** The question to Nexus; what is no time is left out. */
export function queryOf(asked: Asked, nowMs: number): URLSearchParams {
  const query = new URLSearchParams({ of: asked.of.join(",") });
  const since = momentOf(asked.since, nowMs);
  const until = momentOf(asked.until, nowMs);
  if (since) query.set("since", since);
  if (until) query.set("until", until);
  if (asked.grep) {
    query.set("grep", asked.grep);
    if (asked.regex) query.set("regex", "true");
    if (!asked.exact) query.set("ignore_case", "true");
  }
  return query;
}

export function commandOf(asked: Asked): string {
  const names = asked.of.map((one) => (one.startsWith("node:") ? one : one.slice(one.indexOf(":") + 1)));
  const words = ["omnitide", "logs", ...names];
  if (asked.since) words.push("--since", asked.since);
  if (asked.until) words.push("--until", asked.until);
  else words.push("--follow");
  if (asked.grep) {
    words.push("--grep", asked.grep);
    if (asked.regex) words.push("--regex");
    if (!asked.exact) words.push("--ignore-case");
  }
  return words.map(shellWord).join(" ");
}
