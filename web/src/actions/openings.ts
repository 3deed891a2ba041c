/** Pages that are opened for what is chosen, with a key each: nothing is changed by them, so nothing is asked. Pure. */

import { logsHref, MOST_SUBJECTS, subjectOf } from "../pages/logs/asked";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { wantTerminal } from "../terminal/wanted";
import { hrefOf, type Target, type TargetKind } from "./target";

export interface Opening {
  id: string;
  title: string;
  key: string;
  /** What else it is found by: the command that does it without the panel, then plain synonyms; lower case. */
  words: readonly string[];
  kind: TargetKind;
  /** Why not now; empty if it can. */
  hindrance(target: Target): string;
  href(target: Target): string;
  /** Where several are shown together; without it, it is for one thing at a time. */
  together?(targets: readonly Target[]): string;
  /** What the page is to know besides, once. */
  opened?(target: Target): void;
}

const REACHED = new Set(["running", "stopping"]);

function reached(target: Target): string {
  if (pastRevision()) return IN_THE_PAST;
  if (target.kind !== "instance") return "not for this";
  const { status, node } = target.object;
  if (REACHED.has(status)) return "";
  return node ? `it is ${status}, and only what runs can be reached into` : "it is on no node yet";
}

export const OPENINGS: readonly Opening[] = [
  {
    id: "agent.edit",
    title: "Edit",
    key: "e",
    words: ["apply", "change"],
    kind: "agent",
    hindrance: (target) => {
      if (pastRevision()) return IN_THE_PAST;
      return target.kind === "agent" && target.object.status === "removing" ? "it is being removed" : "";
    },
    href: (target) => `${hrefOf(target)}/edit`,
  },
  {
    id: "agent.output",
    title: "Output",
    key: "l",
    words: ["logs", "tail"],
    kind: "agent",
    hindrance: () => (pastRevision() ? IN_THE_PAST : ""),
    href: (target) =>
      target.kind === "agent"
        ? `/logs/${encodeURIComponent(target.object.namespace)}/${encodeURIComponent(target.object.name)}`
        : "",
    together: (targets) => logsHref(targets.map(subjectOf)),
  },
  {
    id: "node.output",
    title: "Output",
    key: "l",
    words: ["logs", "tail"],
    kind: "node",
    hindrance: () => (pastRevision() ? IN_THE_PAST : ""),
    href: (target) => logsHref([subjectOf(target)]),
    together: (targets) => logsHref(targets.map(subjectOf)),
  },
  {
    id: "instance.terminal",
    title: "Terminal",
    key: "t",
    words: ["exec", "shell", "console"],
    kind: "instance",
    hindrance: reached,
    href: (target) => `${hrefOf(target)}/terminal`,
    opened: (target) => wantTerminal(target.object.id),
  },
  {
    id: "instance.files",
    title: "Files",
    key: "c",
    words: ["cp", "copy"],
    kind: "instance",
    hindrance: reached,
    href: (target) => `${hrefOf(target)}/files`,
  },
  {
    id: "instance.output",
    title: "Output",
    key: "l",
    words: ["logs", "tail"],
    kind: "instance",
    hindrance: (target) => {
      if (pastRevision()) return IN_THE_PAST;
      return target.kind === "instance" && target.object.node ? "" : "it is on no node yet";
    },
    href: (target) => `${hrefOf(target)}/logs`,
    together: (targets) => logsHref(targets.map(subjectOf)),
  },
];

/** Those for what is chosen: of several things, what shows them together. */
export function openingsFor(targets: readonly Target[]): readonly Opening[] {
  const [only] = targets;
  const own = OPENINGS.filter((one) => one.kind === only?.kind);
  return targets.length > 1 ? own.filter((one) => one.together) : own;
}

/** Why it cannot be opened for these; empty if it can. Of several, one that can is enough. */
export function hindranceOf(opening: Opening, targets: readonly Target[]): string {
  if (targets.length > MOST_SUBJECTS) return `${targets.length} are selected; ${MOST_SUBJECTS} can be shown together`;
  const why = targets.map((one) => opening.hindrance(one));
  return why.every(Boolean) ? (why[0] ?? "nothing is selected") : "";
}

export function follow(opening: Opening, targets: readonly Target[], navigate: (href: string) => void): void {
  const [only] = targets;
  if (!only || hindranceOf(opening, targets)) return;
  if (targets.length > 1) {
    const able = targets.filter((one) => !opening.hindrance(one));
    if (opening.together) navigate(opening.together(able));
    return;
  }
  opening.opened?.(only);
  navigate(opening.href(only));
}
