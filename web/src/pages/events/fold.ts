/**
 * What happens again and again, in one line: an instance that crashes in a loop would else fill every list, and hide what
 * happened between. What somebody did to an agent, a job or a node stands alone, and divides what was before from what came
 * after. What comes by itself is folded, and so is what that does to instances, one by one: a rollout stops each of them.
 * Only those with the same cause are folded together. Pure.
 */
import type { CloudEvent } from "../../api/types";
import { type Told, tell } from "../../words/events";
import { count, span } from "../../words/format";
import type { Tone } from "../../words/states";

export interface Line {
  /** The newest of them: the line stands where it does. */
  event: CloudEvent;
  /** Newest first; of what is no repeat, the one. */
  events: readonly CloudEvent[];
  /** Stays the same while more of it comes: the id of its oldest. */
  key: string;
  /** Of a short list: so many more lines of the same agent's or job's instances are left out. */
  rest?: number | undefined;
}

/** Fewer are no repeats. */
export const LEAST = 3;
/** What is farther apart is told apart: a restart waits for far less, unless its spec says otherwise. */
export const APART_MS = 15 * 60_000;

/** Of one agent's instances in a short list, between two things that somebody did to it. */
const SHOWN = 3;

const FOLDS =
  /^(instance\.|node\.(connected|unreachable|departing|driver-silent|driver-answers|port-refused|reported|facts-changed)$|agent\.(rollout-advanced|rollout-stumbled|rollout-late|slots-retired)$)/;
const INSTANCE = /^instance\/(.+)-\d+\.\d+$/;

/** Of these each instance has words of its own; of several, these are true of all. */
const OF_MANY: Record<string, string> = {
  "instance.placed": "placed",
  "instance.starting": "starting",
  "instance.running": "running",
};

interface Kept {
  /** The id of whose it is, of an instance its agent or job: both may have one name. Of all else its subject. */
  whose: string;
  /** Which happening; empty for what stands alone. */
  what: string;
  told: Told;
}

const looked = new WeakMap<CloudEvent, Kept>();

function look(event: CloudEvent): Kept {
  const known = looked.get(event);
  if (known) return known;
  const told = tell(event);
  const { kind } = told;
  const found = {
    whose: workload(event) || event.subject,
    what: FOLDS.test(kind) ? `${kind} ${same(event, told)}` : "",
    told,
  };
  looked.set(event, found);
  return found;
}

/** Its id; empty of what is about none. */
function workload(event: CloudEvent): string {
  const { instance, agent, job } = (event.data ?? {}) as Record<string, unknown>;
  return instance ? String(instance).replace(/\.\d+\.\d+$/, "") : String(agent ?? job ?? "");
}

/** Fields that tell one cause from another. */
const CAUSES = ["status", "reason", "cause", "driver", "port", "health", "message", "stopped"] as const;
/** A number of what came again and again, as messages have it: `once`, `3 times`, `512 bytes`, `2 of its processes`. */
const REPEATS = /\bonce\b|\b\d+ times\b|\b\d+ (?=bytes\b|of its\b)/g;

/**
 * What two of a kind have to have in common, to be told as one: the cause, whatever number counts how often. words/
 * repeats.json holds this and the command line's `top` to it.
 */
function same(event: CloudEvent, { kind, text }: Told): string {
  // What tells two of these apart (attempt, ports, process) is another each time.
  if (kind in OF_MANY) return "";
  const data = (event.data ?? {}) as Record<string, unknown>;
  const causes = CAUSES.map((field) => data[field]);
  const { exit } = data as { exit?: { code?: number; signal?: number; reason?: string; cause?: string } };
  // Of one that came to no exit, the message may have times and sizes in it.
  const ended = exit?.signal || typeof exit?.code === "number" ? text : head(text);
  const all = [exit ? ended : head(text), ...causes, exit?.reason, exit?.cause, event.by];
  return JSON.stringify(all).replace(REPEATS, "");
}

/** What is the same of all of a kind: `exited`, of `exited: exit code 1`. */
function head(text: string): string {
  return text.split(": ", 1)[0] ?? text;
}

/** Newest first, as `events` are. */
export function folded(events: readonly CloudEvent[]): Line[] {
  const groups: CloudEvent[][] = [];
  const open = new Map<string, Map<string, CloudEvent[]>>();
  for (const event of events) {
    const { whose, what, told } = look(event);
    if (!what) {
      open.delete(whose);
      groups.push([event]);
      continue;
    }
    const mine = open.get(whose) ?? new Map<string, CloudEvent[]>();
    open.set(whose, mine);
    const group = mine.get(what);
    const last = group?.at(-1);
    if (group && last && look(last).told.atMs - told.atMs <= APART_MS) group.push(event);
    else {
      const begun = [event];
      mine.set(what, begun);
      groups.push(begun);
    }
  }
  const lineOf = new Map<CloudEvent, Line | undefined>();
  for (const group of groups) {
    const [first] = group;
    if (!first || group.length < LEAST) continue;
    for (const event of group) lineOf.set(event, undefined);
    lineOf.set(first, { event: first, events: group, key: group.at(-1)?.id ?? first.id });
  }
  return events.flatMap((event) => (lineOf.has(event) ? (lineOf.get(event) ?? []) : alone(event)));
}

/**
 * For a short list: few lines of one agent's instances, with how many more there are, or one rollout would fill it. What
 * is bad is never left out.
 */
export function shortened(lines: readonly Line[]): Line[] {
  const shown: Line[] = [];
  const runs = new Map<string, { seen: number; last: number }>();
  for (const line of lines) {
    const { whose, what, told } = look(line.event);
    if (!INSTANCE.test(line.event.subject)) {
      if (!what) runs.delete(whose);
      shown.push(line);
      continue;
    }
    const run = runs.get(whose) ?? { seen: 0, last: 0 };
    runs.set(whose, run);
    if (run.seen < SHOWN) run.last = shown.length;
    const last = shown[run.last];
    if (run.seen < SHOWN || told.tone === "bad") shown.push(line);
    else if (last) shown[run.last] = { ...last, rest: (last.rest ?? 0) + 1 };
    run.seen += 1;
  }
  return shown;
}

export interface Row {
  line: Line;
  /** One of those that are folded in the line above it. */
  within: boolean;
}

/** Of a line that somebody opened all events are kept in `opened`: it stays open though it grows at either end. */
export function isOpen(line: Line, opened: ReadonlySet<string>): boolean {
  return line.events.length > 1 && line.events.some((event) => opened.has(event.id));
}

/** The ids in `opened` after somebody opened the line, or closed it. */
export function toggled(opened: ReadonlySet<string>, line: Line): Set<string> {
  const next = new Set(opened);
  const open = isOpen(line, opened);
  for (const { id } of line.events) {
    if (open) next.delete(id);
    else next.add(id);
  }
  return next;
}

/** `opened`: ids of events of the lines whose events are all to be seen, below them. */
export function rowsOf(lines: readonly Line[], opened: ReadonlySet<string>): Row[] {
  return lines.flatMap((line): Row[] => {
    const own = { line, within: false };
    if (!isOpen(line, opened)) return [own];
    return [own, ...line.events.map((event) => ({ line: alone(event), within: true }))];
  });
}

export function alone(event: CloudEvent): Line {
  return { event, events: [event], key: event.id };
}

export interface ToldLine {
  kind: string;
  /** `instances of web` where they are several. */
  subject: string;
  text: string;
  tone: Tone;
  /** Empty where they are on several. */
  node: string;
  /** `37 times in 12 min`; empty for one alone. */
  times: string;
  atMs: number;
}

export function tellLine(line: Line): ToldLine {
  const all = line.events.map((event) => look(event).told);
  const newest = look(line.event).told;
  const { kind, tone, atMs } = newest;
  if (all.length === 1) return { ...newest, times: "" };
  const subjects = new Set(all.map((one) => one.subject));
  const same = all.every((one) => one.text === newest.text);
  const ofAll = subjects.size > 1 && OF_MANY[kind];
  const detail = newest.text.slice(head(newest.text).length + 2);
  const within = atMs - (all.at(-1)?.atMs ?? atMs);
  const many = subjects.size === all.length ? `${count(all.length)} of them` : `${count(all.length)} times`;
  return {
    kind,
    subject:
      subjects.size === 1 ? newest.subject : newest.subject.replace(/^instance (.+)-\d+\.\d+$/, "instances of $1"),
    text: same ? newest.text : ofAll || (detail ? `${head(newest.text)}, the last time: ${detail}` : newest.text),
    tone,
    node: all.every((one) => one.node === newest.node) ? newest.node : "",
    times: within < 1_000 ? many : `${many} in ${span(within)}`,
    atMs,
  };
}

/** Where each of them is a line of its own. `isAgent`: of the id of a workload, which is else a job's. */
export function wholeHref(line: Line, isAgent: (id: string) => boolean): string {
  const { subject } = line.event;
  const about = line.events.some((one) => one.subject !== subject) ? ownerOf(line, isAgent) : subject;
  return `/events?each=1&subject=${encodeURIComponent(about)}`;
}

/** Where the lines are that a short list leaves out, and whose they are: `web`, `shop/web`. */
export function restOf(line: Line, isAgent: (id: string) => boolean): { href: string; name: string } {
  const owner = ownerOf(line, isAgent);
  const name = owner.replace(/^\w+\/(default\/)?/, "");
  return { href: `/events?subject=${encodeURIComponent(owner)}`, name };
}

/** The subject of the agent or job of an instance's line. */
function ownerOf({ event }: Line, isAgent: (id: string) => boolean): string {
  return `${isAgent(workload(event)) ? "agent" : "job"}/${INSTANCE.exec(event.subject)?.[1] ?? ""}`;
}

/** With the lines that are still the same as the objects that they were: they need not be drawn anew. */
export function steady(lines: readonly Line[], before: readonly Line[]): Line[] {
  const were = new Map(before.map((line) => [line.key, line]));
  return lines.map((line) => {
    const was = were.get(line.key);
    if (was?.event.id !== line.event.id || was.rest !== line.rest) return line;
    return was.events.length === line.events.length ? was : line;
  });
}
