/**
 * What happens again and again, in one line: an instance that crashes in a loop would else fill every list, and hide what
 * happened between. Only what comes by itself is folded; what somebody did to an agent or a node stands alone, and divides
 * what was before from what came after. Pure.
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
  /** Stays the same while more of it comes. */
  key: string;
}

/** Fewer are no repeats. */
export const LEAST = 3;
/** What is farther apart is told apart: a restart waits for far less, unless its spec says otherwise. */
export const APART_MS = 15 * 60_000;

const BY_ITSELF =
  /^(instance\.|node\.(connected|unreachable|departing|driver-silent|driver-answers|port-refused|reported|facts-changed)$|agent\.(rollout-advanced|rollout-stumbled|rollout-late|slots-retired)$)/;
const INSTANCE = /^instance\/(.+)-\d+\.\d+$/;

interface Kept {
  /** Whose it is: of an instance its agent or job. */
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
  const { kind, text, tone } = told;
  const whose = INSTANCE.exec(event.subject)?.[1] ?? event.subject.replace(/^(agent|job)\//, "");
  const found = { whose, what: BY_ITSELF.test(kind) ? `${kind} ${head(text)} ${tone}` : "", told };
  looked.set(event, found);
  return found;
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
    const { whose, what } = look(first);
    lineOf.set(first, { event: first, events: group, key: `${whose} ${what}` });
  }
  const lines: Line[] = [];
  const keys = new Map<string, number>();
  for (const event of events) {
    const line = lineOf.has(event) ? lineOf.get(event) : alone(event);
    if (!line) continue;
    // The newest of a kind keeps its key; what was before it, divided from it, is counted on.
    const before = keys.get(line.key) ?? 0;
    keys.set(line.key, before + 1);
    lines.push(before ? { ...line, key: `${line.key} ${before}` } : line);
  }
  return lines;
}

export interface Row {
  line: Line;
  /** One of those that are folded in the line above it. */
  within: boolean;
}

/** `opened`: keys of the lines whose events are all to be seen, below them. */
export function rowsOf(lines: readonly Line[], opened: ReadonlySet<string>): Row[] {
  return lines.flatMap((line): Row[] => {
    const own = { line, within: false };
    if (line.events.length === 1 || !opened.has(line.key)) return [own];
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
  const detail = newest.text.slice(head(newest.text).length + 2);
  const within = atMs - (all.at(-1)?.atMs ?? atMs);
  const many = subjects.size === all.length ? `${count(all.length)} of them` : `${count(all.length)} times`;
  return {
    kind,
    subject:
      subjects.size === 1 ? newest.subject : newest.subject.replace(/^instance (.+)-\d+\.\d+$/, "instances of $1"),
    text: same || !detail ? newest.text : `${head(newest.text)}, the last time: ${detail}`,
    tone,
    node: all.every((one) => one.node === newest.node) ? newest.node : "",
    times: within < 1_000 ? many : `${many} in ${span(within)}`,
    atMs,
  };
}

/** Where each of them is a line of its own. `isAgent`: of the id of a workload, which is else a job's. */
export function wholeHref(line: Line, isAgent: (id: string) => boolean): string {
  const { subject, data } = line.event;
  let about = subject;
  if (line.events.some((one) => one.subject !== subject)) {
    const id = String((data as Record<string, unknown> | null)?.instance ?? "").replace(/\.\d+\.\d+$/, "");
    about = `${isAgent(id) ? "agent" : "job"}/${look(line.event).whose}`;
  }
  return `/events?each=1&subject=${encodeURIComponent(about)}`;
}

/** With the lines that are still the same as the objects that they were: they need not be drawn anew. */
export function steady(lines: readonly Line[], before: readonly Line[]): Line[] {
  const were = new Map(before.map((line) => [line.key, line]));
  return lines.map((line) => {
    const was = were.get(line.key);
    return was?.event.id === line.event.id && was.events.length === line.events.length ? was : line;
  });
}
