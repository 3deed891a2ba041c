/**
 * What is typed is kept in this tab until it is applied or given up: a stray click, a reload or a log-in in between
 * costs nothing. In the tab's own storage, which goes with it: a text may have values in it that are nobody else's.
 */
import type { Form } from "./lines";

/** The agent as it was when its text was begun. */
export interface Base {
  version: number;
  replicas: number;
}

export interface Draft {
  text: string;
  form: Form;
  base?: Base;
  atMs: number;
}

const PREFIX = "omnitide.draft.";
/** A text that is larger is not kept, which is said. */
export const MOST_LETTERS = 600_000;
/** The oldest goes. */
const MOST = 12;

export function draftKey(namespace: string, name: string): string {
  return name ? `${namespace}/${name}` : "new";
}

export function getDraft(key: string): Draft | undefined {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(PREFIX + key) ?? "null");
    if (!found || typeof found !== "object" || typeof (found as Draft).text !== "string") return undefined;
    return found as Draft;
  } catch {
    return undefined;
  }
}

/** False if it could not be kept. */
export function putDraft(key: string, draft: Draft): boolean {
  if (draft.text.length > MOST_LETTERS) return false;
  try {
    sessionStorage.setItem(PREFIX + key, JSON.stringify(draft));
    const all = Object.keys(sessionStorage).filter((one) => one.startsWith(PREFIX));
    for (const one of all.sort(byAge).slice(MOST)) sessionStorage.removeItem(one);
    return true;
  } catch {
    return false;
  }
}

export function dropDraft(key: string): void {
  try {
    sessionStorage.removeItem(PREFIX + key);
  } catch {
    // There is none, then.
  }
}

/** The youngest first. */
function byAge(one: string, other: string): number {
  return (getDraft(other.slice(PREFIX.length))?.atMs ?? 0) - (getDraft(one.slice(PREFIX.length))?.atMs ?? 0);
}
