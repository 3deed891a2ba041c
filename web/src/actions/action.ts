/**
 * What an action is: whether it can be done to an object now, what it asks of Nexus, what is lost by it, and the same on
 * the command line; and what a person has to say for it besides.
 */
import type { Agent, Instance, Node } from "../api/types";
import { count, plural } from "../words/format";
import { nameOf, shellWord, type Target, type TargetKind } from "./target";

/** What a person has to say besides. */
export type Ask =
  | { kind: "replicas"; title: string }
  | { kind: "version"; title: string }
  | { kind: "node"; title: string }
  | { kind: "atOnce"; title: string };

export interface Input {
  replicas: number;
  /** 0: the newest earlier one that is known to work, with another spec. */
  version: number;
  /** Empty: Nexus chooses. */
  node: string;
  /** Replicas that may be away at once; 0: as many as the agent's update allows. */
  atOnce: number;
}

export const MOST_REPLICAS = 100_000;

/** What is asked of a person who typed no number that there could be; empty: all is well. */
export function amiss(input: Input): string {
  if (Number.isNaN(input.replicas)) return "How many?";
  const whole = (number: number) => Number.isInteger(number) && number >= 0 && number <= MOST_REPLICAS;
  if (!whole(input.replicas)) return `A whole number is asked for, from 0 to ${count(MOST_REPLICAS)}.`;
  if (!whole(input.atOnce)) return `A whole number is asked for, from 1 to ${count(MOST_REPLICAS)}.`;
  return "";
}

export interface Asked {
  method: "POST" | "DELETE";
  path: string;
  body?: Record<string, unknown>;
}

/** What the panel sees besides the object itself. */
export interface Around {
  instances: Iterable<Instance>;
  nodes: Iterable<Node>;
}

export interface Action {
  id: string;
  title: string;
  /** Of the keyboard, where something of its kind is chosen; of one letter, as typed. */
  key: string;
  /** What else it is found by: as the command line has it, if that is not the title, and plain synonyms; lower case. */
  words: readonly string[];
  kind: TargetKind;
  /** In red, and with the word of what it is. */
  grave?: boolean;
  /** For a map and a table, where many may be chosen. */
  many: boolean;
  ask?: Ask;
  /** Why it cannot be done now; empty if it can. */
  hindrance(target: Target): string;
  request(target: Target, input: Input): Asked;
  /** Behind `omnitide`. */
  command(target: Target, input: Input): string;
  /** What happens, in a sentence. */
  effect(target: Target, input: Input, around: Around): string;
  /** What is lost or interrupted; each in a sentence. */
  losses(target: Target, input: Input, around: Around): string[];
  /** Past tense, behind the name: `web` `is to have 5 replicas`. */
  done(input: Input): string;
}

/** To which a rollback goes that names none. */
export const NEWEST_THAT_WORKS = "the newest earlier version that is known to work and differs";

/** The same where there is little room, as in a choice. */
export const NEWEST_IN_SHORT = "the newest that works";

const NO_LOSS = (): string[] => [];

type Parts<T> = {
  hindrance?(object: T): string;
  request(object: T, input: Input): Asked;
  command(name: string, input: Input): string;
  effect(object: T, input: Input, around: Around): string;
  losses?(object: T, input: Input, around: Around): string[];
};
type Said = Pick<Action, "id" | "title" | "key" | "done"> & {
  words?: readonly string[];
  grave?: boolean;
  ask?: Ask;
  many?: boolean;
};

interface ObjectOf {
  agent: Agent;
  instance: Instance;
  node: Node;
}

/** An action of one kind of objects. */
export function made<K extends TargetKind>(kind: K, said: Said, parts: Parts<ObjectOf[K]>): Action {
  const of = (target: Target): ObjectOf[K] => {
    if (target.kind !== kind) throw new Error(`${said.id} is not for ${target.kind}`);
    return target.object as ObjectOf[K];
  };
  return {
    ...said,
    words: said.words ?? [],
    kind,
    many: said.many ?? true,
    hindrance: (target) =>
      target.kind === kind
        ? (parts.hindrance?.(of(target)) ?? "")
        : `not for ${target.kind === "node" ? "a" : "an"} ${target.kind}`,
    request: (target, input) => parts.request(of(target), input),
    command: (target, input) => parts.command(shellWord(nameOf(target)), input),
    effect: (target, input, around) => parts.effect(of(target), input, around),
    losses: (target, input, around) => parts.losses?.(of(target), input, around) ?? NO_LOSS(),
  };
}

export const LIVE: ReadonlySet<string> = new Set(["placed", "starting", "running", "stopping", "unknown"]);

export const having = (number: number, noun: string) => `${plural(number, noun)} ${number === 1 ? "has" : "have"}`;
