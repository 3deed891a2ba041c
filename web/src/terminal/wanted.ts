/**
 * A terminal that somebody has just asked for runs its shell at once; an address that is opened or loaded anew does not. What
 * is typed while it opens is meant for the shell, and for nothing else: it is held until that runs.
 */

/** A shell that is not there by then will not come: keys mean what they did before. */
export const HELD_MS = 15_000;

/** As a terminal sends them. */
const SENT: Readonly<Record<string, string>> = { Enter: "\r", Backspace: "\x7f", Tab: "\t" };

let wanted = "";
let held = "";
let untilMs = Number.NEGATIVE_INFINITY;

export function wantTerminal(instance: string): void {
  wanted = instance;
  holdKeys();
}

/** True once. */
export function takeWanted(instance: string): boolean {
  const mine = wanted === instance;
  wanted = "";
  if (!mine) takeHeld();
  return mine;
}

/** From now on, until they are taken. */
export function holdKeys(): void {
  if (performance.now() >= untilMs) held = "";
  untilMs = performance.now() + HELD_MS;
}

/** What was held; keys mean what they did before. */
export function takeHeld(): string {
  const text = performance.now() < untilMs ? held : "";
  held = "";
  untilMs = Number.NEGATIVE_INFINITY;
  return text;
}

/** Whether this key is kept for a shell that is on its way. Escape lets go of all. */
export function isHeld(pressed: { key: string; ctrlKey: boolean; metaKey: boolean; altKey: boolean }): boolean {
  if (performance.now() >= untilMs || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return false;
  if (pressed.key === "Escape") {
    takeHeld();
    return true;
  }
  const text = pressed.key.length === 1 ? pressed.key : SENT[pressed.key];
  if (text === undefined) return false;
  held += text;
  return true;
}
