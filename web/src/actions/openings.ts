/** Pages that are opened for what is chosen, with a key each: nothing is changed by them, so nothing is asked. Pure. */
import { IN_THE_PAST, pastRevision } from "../past/when";
import { wantTerminal } from "../terminal/wanted";
import { hrefOf, type Target, type TargetKind } from "./target";

export interface Opening {
  id: string;
  title: string;
  key: string;
  kind: TargetKind;
  /** Why not now; empty if it can. */
  hindrance(target: Target): string;
  href(target: Target): string;
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
    kind: "agent",
    hindrance: (target) => {
      if (pastRevision()) return IN_THE_PAST;
      return target.kind === "agent" && target.object.status === "removing" ? "it is being removed" : "";
    },
    href: (target) => `${hrefOf(target)}/edit`,
  },
  {
    id: "instance.terminal",
    title: "Terminal",
    key: "t",
    kind: "instance",
    hindrance: reached,
    href: (target) => `${hrefOf(target)}/terminal`,
    opened: (target) => wantTerminal(target.object.id),
  },
  {
    id: "instance.files",
    title: "Files",
    key: "c",
    kind: "instance",
    hindrance: reached,
    href: (target) => `${hrefOf(target)}/files`,
  },
  {
    id: "instance.output",
    title: "Output",
    key: "l",
    kind: "instance",
    hindrance: (target) => {
      if (pastRevision()) return IN_THE_PAST;
      return target.kind === "instance" && target.object.node ? "" : "it is on no node yet";
    },
    href: (target) => `${hrefOf(target)}/logs`,
  },
];

/** Those for what is chosen; one thing at a time. */
export function openingsFor(targets: readonly Target[]): readonly Opening[] {
  const [only] = targets;
  return only && targets.length === 1 ? OPENINGS.filter((one) => one.kind === only.kind) : [];
}

export function follow(opening: Opening, target: Target, navigate: (href: string) => void): void {
  if (opening.hindrance(target)) return;
  opening.opened?.(target);
  navigate(opening.href(target));
}
