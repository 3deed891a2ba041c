/** An outlook in words. Pure. */
import type { ForeseenReplica, Outlook } from "../api/types";
import { count, plural } from "../words/format";
import type { Tone } from "../words/states";

type Fate = ForeseenReplica["fate"];

const WORDS: Record<Fate, (count: number) => string> = {
  waits: (count) => `${plural(count, "replica")} would fit nowhere and wait`,
  stays: (count) => `${plural(count, "replica")} would fit on no other node and stay`,
  unheard: (count) =>
    `${plural(count, "replica")} would not hear of it and stay: nothing is heard from ${count === 1 ? "its" : "their"} node`,
  blocked: (count) => `${plural(count, "replica")} would stay: the update lets no more be away at once`,
  stops: (count) => `${plural(count, "replica")} would stop`,
  moves: (count) => `${plural(count, "replica")} would move`,
  renews: (count) => `${plural(count, "replica")} would be made anew, on the same node`,
  starts: (count) => `${plural(count, "replica")} would start`,
};

export const TONES: Record<Fate, Tone> = {
  waits: "bad",
  stays: "wait",
  unheard: "unknown",
  blocked: "wait",
  stops: "off",
  moves: "busy",
  renews: "busy",
  starts: "good",
};

const ORDER = Object.keys(WORDS) as Fate[];

const ANEW: typeof WORDS = {
  ...WORDS,
  moves: (count) => `${plural(count, "replica")} would be made anew, on another node`,
};

/** A sentence for each fate that there is. `anew`: it is to replace what runs, and what comes to another node does so by that. */
export function sentences(outlook: Outlook, anew = false): { tone: Tone; text: string }[] {
  const words = anew ? ANEW : WORDS;
  const found = ORDER.filter((fate) => outlook.counts[fate]).map((fate) => ({
    tone: TONES[fate],
    text: words[fate](outlook.counts[fate] ?? 0),
  }));
  if (outlook.kept) {
    const asIs = outlook.kept === 1 ? "it is" : "they are";
    found.push({ tone: "good", text: `${plural(outlook.kept, "replica")} would be kept as ${asIs}` });
  }
  if (outlook.held && !outlook.finished) {
    // Its turn would come later: that it stays at its version is not known.
    const were = outlook.held === 1 ? "replica was" : "replicas were";
    found.push({ tone: "unknown", text: `${count(outlook.held)} more ${were} not looked ahead to` });
  } else if (outlook.held) {
    found.push({ tone: "wait", text: `${plural(outlook.held, "replica")} would stay at the version before` });
  }
  if (outlook.tasks) {
    const verb = outlook.tasks === 1 ? "runs to its" : "run to their";
    found.push({ tone: "off", text: `${plural(outlook.tasks, "task")} of jobs ${verb} end there` });
  }
  if (outlook.lost) {
    const [are, them] = outlook.lost === 1 ? ["is", "it"] : ["are", "them"];
    const text = `${plural(outlook.lost, "replica")} there ${are} lost already: what replaces ${them} does so anyway`;
    found.push({ tone: "off", text });
  }
  if (outlook.unseen) {
    found.push({ tone: "unknown", text: `${plural(outlook.unseen, "further replica")} were not looked at: too many` });
  }
  return found;
}

/** What is lost by draining nodes: of what stays where it is, nothing. */
export function lostByDraining(outlook: Outlook): string[] {
  const moving = interrupted(outlook);
  const tasks = outlook.tasks;
  return [
    ...(moving
      ? [
          `What ${plural(moving, "replica")} ${moving === 1 ? "has" : "have"} in memory does not move with ${moving === 1 ? "it" : "them"}.`,
        ]
      : []),
    ...(tasks ? [`${plural(tasks, "task")} of jobs ${tasks === 1 ? "runs to its" : "run to their"} end there.`] : []),
  ];
}

/** What is interrupted: what these have in memory is gone. */
export function interrupted(outlook: Outlook): number {
  return (outlook.counts.renews ?? 0) + (outlook.counts.moves ?? 0) + (outlook.counts.stops ?? 0);
}

export interface Row {
  key: string;
  fate: Fate;
  name: string;
  way: string;
  why: string;
}

/** One row for replicas of an agent that go the same way. `anew`: as for `sentences`. */
export function rows(outlook: Outlook, anew = false): Row[] {
  const groups = new Map<string, { one: ForeseenReplica; slots: number[] }>();
  for (const one of outlook.replicas) {
    const key = [one.fate, one.namespace, one.agent, one.before, one.after, one.why].join("\u0000");
    const group = groups.get(key);
    if (group) group.slots.push(one.slot);
    else groups.set(key, { one, slots: [one.slot] });
  }
  return [...groups].map(([key, { one, slots }]) => ({
    key,
    fate: one.fate,
    name: `${one.namespace === "default" ? "" : `${one.namespace}/`}${one.agent} ${ranges(slots)}`,
    way: wayOf(one, anew),
    why: one.why ?? "",
  }));
}

function wayOf(one: ForeseenReplica, anew: boolean): string {
  switch (one.fate) {
    case "moves":
      return `${one.before} → ${anew ? "anew on " : ""}${one.after}`;
    case "starts":
      return `→ ${one.after}`;
    case "stops":
      return `${one.before} → stopped`;
    case "renews":
      return `anew on ${one.after}`;
    case "stays":
    case "unheard":
    case "blocked":
      return `stays on ${one.before}`;
    case "waits":
      return one.before ? `${one.before} → waits` : "waits";
  }
}

/** `1–3, 5`. */
export function ranges(numbers: readonly number[]): string {
  const sorted = [...numbers].sort((one, other) => one - other);
  const parts: string[] = [];
  for (let from = 0, at = 0; at < sorted.length; at += 1) {
    if (sorted[at + 1] === (sorted[at] ?? 0) + 1) continue;
    parts.push(from === at ? `${sorted[from]}` : `${sorted[from]}–${sorted[at]}`);
    from = at + 1;
  }
  return parts.join(", ");
}
