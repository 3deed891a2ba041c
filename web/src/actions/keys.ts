/**
 * The keyboard: which key means what, on the page as it is. Pure but for `singleKeys`, the switch for whoever speaks to
 * their computer or bumps into keys (WCAG 2.1.4).
 */
import { createSignal } from "solid-js";

export const PLACES: readonly { key: string; title: string; href: string }[] = [
  { key: "m", title: "Map", href: "/map" },
  { key: "o", title: "Overview", href: "/overview" },
  { key: "n", title: "Nodes", href: "/nodes" },
  { key: "a", title: "Agents", href: "/agents" },
  { key: "i", title: "Instances", href: "/instances" },
  { key: "e", title: "Events", href: "/events" },
  { key: "j", title: "Join a machine", href: "/join" },
  { key: "w", title: "New agent", href: "/agents/new" },
  { key: "c", title: "Import a Compose file", href: "/import" },
  { key: "s", title: "Settings", href: "/settings" },
];

export interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

export type Meant =
  | { kind: "palette" }
  | { kind: "keys" }
  | { kind: "search" }
  | { kind: "past" }
  | { kind: "going" }
  | { kind: "go"; href: string }
  | { kind: "action"; key: string };

/** `typing`: in a field, where keys are text. `going`: `g` came just before. */
export function meaning(pressed: Pressed, typing: boolean, going: boolean, single: boolean): Meant | undefined {
  const { key, ctrlKey, metaKey, altKey } = pressed;
  if ((ctrlKey || metaKey) && !altKey && key.toLowerCase() === "k") return { kind: "palette" };
  if (ctrlKey || metaKey || altKey || typing || !single) return undefined;
  if (going) {
    const place = PLACES.find((one) => one.key === key);
    if (place) return { kind: "go", href: place.href };
  }
  if (key === "?") return { kind: "keys" };
  if (key === "/") return { kind: "search" };
  if (key === "T") return { kind: "past" };
  if (key === "g") return { kind: "going" };
  return /^[a-zA-Z]$/.test(key) ? { kind: "action", key } : undefined;
}

/**
 * A key as buttons, the palette, the list of keys and the manual write it: as it stands on a keyboard. A capital letter is
 * with Shift (`D` is Shift+D, `d` is D); keys that follow each other stand apart (`g n` is G N).
 */
export function shownKey(key: string): string {
  return /^[A-Z]$/.test(key) ? `Shift+${key}` : key.toUpperCase();
}

/** The same for `aria-keyshortcuts`, which has a form of its own. */
export function ariaKey(key: string): string {
  return /^[A-Z]$/.test(key) ? `Shift+${key}` : key;
}

/** So long after `g` the next key is a page, and no list's own. */
const GOING_MS = 1_200;
let goingMs = Number.NEGATIVE_INFINITY;

export function isGoing(atMs: number): boolean {
  return atMs - goingMs < GOING_MS;
}

/** `atMs`: when `g` was pressed; left out: that is over. */
export function setGoing(atMs = Number.NEGATIVE_INFINITY): void {
  goingMs = atMs;
}

const KEY = "omnitide.single-keys";

function kept(): boolean {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}

const [singleKeys, setSignal] = createSignal(kept());

export { singleKeys };

export function setSingleKeys(on: boolean): void {
  setSignal(on);
  try {
    if (on) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, "off");
  } catch {
    // It then lasts as long as this page.
  }
}
