/**
 * The map's keys, and what is done there with a pointer: one table, from which the map does what it does and the list of keys
 * (`?`) says it. What is not in it, the map does not take.
 */
import type { Point } from "./model/geometry";
import type { Direction } from "./model/pick";

/** What keys ask of the map. */
export interface KeyReactions {
  step(direction: Direction): void;
  district(by: 1 | -1): void;
  pan(dx: number, dy: number): void;
  /** About a place, or about the middle of what is seen. */
  zoom(at: Point | undefined, factor: number): void;
  enter(add: boolean): void;
  all(): void;
  clear(): void;
  group(key: string, save: boolean): void;
  /** As long as it is down, a pointer moves the map. */
  hold(): void;
}

export interface MapKey {
  /** As the list of keys has it. */
  shown: string;
  title: string;
  /** `KeyboardEvent.key` of each; of a digit, its place on the keyboard (`code`), which no other layout moves. */
  keys: readonly string[];
  /** Left out: with Shift as without, as signs are on other keys elsewhere. */
  shift?: boolean;
  /** With Ctrl, or with Shift: as the browser leaves it to the page. */
  saving?: boolean;
  does(react: KeyReactions, key: string): void;
}

const ARROWS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};
const STEP_PX = 80;
const KEY_ZOOM = 1.35;
const DIGITS = Array.from({ length: 9 }, (_, at) => `Digit${at + 1}`);

/** While the map has the focus, or nothing has that takes them itself. */
export const ON_MAP: readonly MapKey[] = [
  {
    shown: "← ↑ ↓ →",
    title: "To the node beside",
    keys: Object.keys(ARROWS),
    shift: false,
    does: (react, key) => react.step(ARROWS[key] ?? "right"),
  },
  {
    shown: "Shift+← ↑ ↓ →",
    title: "Move the map",
    keys: Object.keys(ARROWS),
    shift: true,
    does: (react, key) => {
      const far = key === "ArrowLeft" || key === "ArrowUp" ? STEP_PX : -STEP_PX;
      if (key === "ArrowLeft" || key === "ArrowRight") react.pan(far, 0);
      else react.pan(0, far);
    },
  },
  { shown: "PgDn / ]", title: "Next district", keys: ["PageDown", "]"], does: (react) => react.district(1) },
  { shown: "PgUp / [", title: "District before", keys: ["PageUp", "["], does: (react) => react.district(-1) },
  {
    shown: "Enter",
    title: "Select; once more: go near",
    keys: ["Enter"],
    shift: false,
    does: (react) => react.enter(false),
  },
  {
    shown: "Shift+Enter",
    title: "Add to the selection, or take from it",
    keys: ["Enter"],
    shift: true,
    does: (react) => react.enter(true),
  },
  { shown: "Esc", title: "Select nothing", keys: ["Escape"], does: (react) => react.clear() },
  { shown: "+ / =", title: "Nearer", keys: ["+", "="], does: (react) => react.zoom(undefined, KEY_ZOOM) },
  { shown: "-", title: "Farther", keys: ["-"], does: (react) => react.zoom(undefined, 1 / KEY_ZOOM) },
  { shown: "Home / 0", title: "All of it", keys: ["Home", "0"], does: (react) => react.all() },
  { shown: "Space", title: "Held: dragging moves the map", keys: [" "], does: (react) => react.hold() },
];

/** Anywhere on the page but in a field. */
export const ON_PAGE: readonly MapKey[] = [
  {
    shown: "1 … 9",
    title: "Select the saved group",
    keys: DIGITS,
    saving: false,
    does: (react, key) => react.group(key.slice(-1), false),
  },
  {
    shown: "Ctrl+1 … 9",
    title: "Save what is selected as that group (Shift does too)",
    keys: DIGITS,
    saving: true,
    does: (react, key) => react.group(key.slice(-1), true),
  },
];

/** Not keys, and nowhere else to be read. */
export const POINTER: readonly (readonly [string, string])[] = [
  ["Drag", "Select what is in the box"],
  ["Shift+click", "Add to the selection, or take from it"],
  ["Double click", "Go near; on an instance: select all of its agent"],
  ["Right click", "What can be done with it"],
  ["Wheel", "Nearer, farther"],
  ["Middle button", "Move the map"],
];

type Pressed = Pick<KeyboardEvent, "key" | "code" | "shiftKey" | "ctrlKey" | "metaKey" | "altKey">;

export function onMap(pressed: Pressed): MapKey | undefined {
  if (pressed.altKey || pressed.ctrlKey || pressed.metaKey) return undefined;
  return ON_MAP.find(
    (one) => one.keys.includes(pressed.key) && (one.shift === undefined || one.shift === pressed.shiftKey),
  );
}

export function onPage(pressed: Pressed): MapKey | undefined {
  if (pressed.altKey || pressed.metaKey) return undefined;
  return ON_PAGE.find((one) => one.keys.includes(pressed.code) && one.saving === (pressed.ctrlKey || pressed.shiftKey));
}
