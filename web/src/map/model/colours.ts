/** The map's colours by the question that it is to answer. Names of colours only: the palette says what they look like. */
import type { Node } from "../../api/types";
import { plural } from "../../words/format";
import type { Tone } from "../../words/states";
import type { Building, City, Unit } from "./city";
import { type Failing, NOT_ASKED, ruleOfNode, ruleOfUnit } from "./failing";
import { isOver, STANDINGS, toneOf } from "./standing";

export const QUESTIONS = ["health", "rule", "spare", "load", "version", "driver"] as const;
export type Question = (typeof QUESTIONS)[number];

export const QUESTION_WORDS: Record<Question, string> = {
  health: "Health",
  rule: "Failing rule",
  spare: "Spare capacity",
  load: "Load",
  version: "Version",
  driver: "Driver",
};

/** Steps of a scale, from 0 (nothing used) on. */
export const STEPS = 8;
export const KINDS = 6;

export type Colour = `tone-${Tone}` | `scale-${number}` | `kind-${number}` | "plain" | "blind";

export interface Use {
  cpuMilli: number;
  memoryBytes: number;
}

const DRIVERS = ["process", "docker", "wasm", "sandbox"] as const;
/** Container engines are of one shape. */
const ALIKE: Record<string, Shape> = { podman: "docker" };

/** The units' shapes: one for each driver that there is (a process in a sandbox has its own), and one for any other. */
export type Shape = (typeof DRIVERS)[number] | "other";

export function shapeOf(driver: string): Shape {
  return DRIVERS.find((known) => known === driver) ?? ALIKE[driver] ?? "other";
}

export function driverColour(driver: string): Colour {
  const at = DRIVERS.indexOf(driver as (typeof DRIVERS)[number]);
  return `kind-${at < 0 ? DRIVERS.length : at}`;
}

export function shareOf(part: number | undefined, whole: number | undefined): number {
  return whole && whole > 0 ? Math.min(1, Math.max(0, (part ?? 0) / whole)) : 0;
}

/** From here on a machine is as good as full. */
export const HOT = 0.92;

/** How bright the front of a node is by what it uses, from 0 to 1: seen from afar, where none of its windows is. */
export function frontLight(used: number, night: boolean): number {
  return (night ? 0.7 : 0.2) * used ** 0.7;
}

/** How many of so many windows are lit: one at least where anything is used. */
export function windowsLit(used: number, all: number): number {
  return used > 0 ? Math.max(1, Math.round(used * all)) : 0;
}

/** How much of a node is set aside: of cpu or memory, whichever is more. */
export function reservedOf(node: Node): number {
  return Math.max(
    shareOf(node.reserved_cpu_milli, node.cpu_milli),
    shareOf(node.reserved_memory_bytes, node.memory_bytes),
  );
}

export function usedOf(node: Node, use: Use): number {
  return Math.max(shareOf(use.cpuMilli, node.cpu_milli), shareOf(use.memoryBytes, node.memory_bytes));
}

function step(share: number): Colour {
  return `scale-${Math.min(STEPS - 1, Math.floor(share * STEPS))}`;
}

export function nodeColour(
  question: Question,
  building: Building,
  use: Use | undefined,
  versions: readonly string[],
  failing: Failing = NOT_ASKED,
): Colour {
  const { node, dark, state } = building;
  if (dark) return "blind";
  switch (question) {
    case "health":
      return state.tone === "good" ? "plain" : `tone-${state.tone}`;
    case "rule":
      return ruleColour(failing, ruleOfNode(node, failing));
    case "spare":
      return step(reservedOf(node));
    case "load":
      return use ? step(usedOf(node, use)) : "blind";
    case "version":
      return `kind-${Math.min(KINDS - 1, Math.max(0, versions.indexOf(node.software ?? "")))}`;
    case "driver":
      return "plain";
  }
}

/** The rules that hold up most have colours of their own. */
function ruleColour(failing: Failing, rule: string): Colour {
  if (!rule) return "plain";
  const at = failing.rules.indexOf(rule);
  return `kind-${at < 0 ? KINDS - 1 : Math.min(KINDS - 1, at)}`;
}

export function unitColour(question: Question, unit: Unit, failing: Failing = NOT_ASKED): Colour {
  switch (question) {
    case "health":
      return `tone-${unit.tone}`;
    case "rule":
      return ruleColour(failing, ruleOfUnit(unit.instance, failing));
    case "spare":
    case "load":
      return "plain";
    case "version":
      return unit.old ? "tone-wait" : "tone-good";
    case "driver":
      return driverColour(unit.driver);
  }
}

/** The nodes' versions of Omnitide, the one that most have first. */
export function versionsOf(nodes: Iterable<Node>): string[] {
  const counts = new Map<string, number>();
  for (const node of nodes) counts.set(node.software ?? "", (counts.get(node.software ?? "") ?? 0) + 1);
  return [...counts].sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1)).map(([name]) => name);
}

export interface Entry {
  colour: Colour;
  /** `note`: a sentence that says what the others are about. */
  shape: Shape | "building" | "scale" | "note";
  text: string;
  count: number;
  hollow?: boolean;
}

/** What the colours mean, with how many there are of each. */
export function legend(question: Question, city: City, versions: readonly string[], failing = NOT_ASKED): Entry[] {
  switch (question) {
    case "rule":
      return [...ruleEntries(failing), ...darkEntries(city)];
    case "health": {
      const counts = city.tally.standings;
      const entries: Entry[] = STANDINGS.map(([standing, text]) => ({
        colour: `tone-${toneOf(standing)}`,
        shape: "process",
        text,
        count: counts.get(standing) ?? 0,
        hollow: isOver(standing),
      }));
      return [...entries.filter((entry) => entry.count), ...darkEntries(city)];
    }
    case "spare":
      return [{ colour: "scale-0", shape: "scale", text: "all free|all reserved", count: city.buildings.size }];
    case "load":
      return [{ colour: "scale-0", shape: "scale", text: "idle|at its limit", count: city.buildings.size }];
    case "version": {
      const nodes = count(city.buildings.values(), (building) => building.node.software ?? "");
      const entries: Entry[] = [
        { colour: "tone-good", shape: "process", text: "newest version", count: city.units.size - city.tally.old },
        { colour: "tone-wait", shape: "process", text: "an older one", count: city.tally.old },
      ];
      versions.slice(0, KINDS).forEach((name, index) => {
        const text = name ? `node ${name}` : "node that told none";
        entries.push({ colour: `kind-${index}`, shape: "building", text, count: nodes.get(name) ?? 0 });
      });
      return entries.filter((entry) => entry.count);
    }
    case "driver": {
      return [...city.tally.drivers]
        .filter(([, many]) => many)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([driver, many]) => ({
          colour: driverColour(driver),
          shape: shapeOf(driver),
          text: driver || "not known",
          count: many,
        }));
    }
  }
}

/** Dark nodes are drawn dark whatever is asked. */
function darkEntries(city: City): Entry[] {
  const dark = [...city.buildings.values()].filter((building) => building.dark).length;
  return dark ? [{ colour: "blind", shape: "building", text: "dark nodes", count: dark }] : [];
}

/** Rules with a colour of their own, and the others together. */
function ruleEntries({ rules, units, nodes, waiting, refusing }: Failing): Entry[] {
  const shown = rules.length > KINDS ? rules.slice(0, KINDS - 1) : rules;
  const entries: Entry[] = [];
  const add = (at: number, text: string, some: readonly string[]) => {
    const sum = (counts: ReadonlyMap<string, number>) => some.reduce((all, rule) => all + (counts.get(rule) ?? 0), 0);
    const colour: Colour = `kind-${at}`;
    if (sum(units)) entries.push({ colour, shape: "process", text, count: sum(units) });
    if (sum(nodes)) entries.push({ colour, shape: "building", text: ofNodes(text), count: sum(nodes) });
  };
  shown.forEach((rule, at) => {
    add(at, rule, [rule]);
  });
  if (shown.length < rules.length) add(KINDS - 1, "other rules", rules.slice(shown.length));
  // One that waits may colour nearly all nodes, and nothing is wrong with those.
  if (refusing.size) {
    const text = `Nodes by why they refuse ${plural(waiting.size, "workload")} that ${waiting.size === 1 ? "waits" : "wait"} for a place`;
    entries.push({ colour: "plain", shape: "note", text, count: waiting.size });
  }
  return entries;
}

/** Of nodes that a rule keeps from what waits. */
function ofNodes(rule: string): string {
  if (rule === "closed") return "nodes that are closed to what is new";
  if (rule === "left") return "nodes that have left";
  return rule === "offline" ? "nodes that are not connected" : `nodes that refuse by ${rule}`;
}

function count<T, K>(all: Iterable<T>, key: (one: T) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const one of all) counts.set(key(one), (counts.get(key(one)) ?? 0) + 1);
  return counts;
}
