/**
 * What of a text there is room for. A name is told whole as long as that can be: smaller, then in lines, parted where it has
 * joints. Where it cannot, what it shares with its neighbours goes first, which tells nobody apart.
 */

/** How wide a text is, px. */
export type Width = (text: string) => number;

export interface Room {
  /** Of a line, px. */
  width: number;
  lines: number;
  /** The height of letters that is wished for, and the least that is read, px. `Width` measures at the least. */
  px: number;
  least: number;
  /** Whether a name may be parted within a word, where that is what it takes. */
  broken?: boolean;
}

/** How many letters at the beginning and the end all names of a group share: up to a joint. */
export interface Shared {
  head: number;
  tail: number;
}

export interface Fitted {
  lines: readonly string[];
  px: number;
  /** Whole; or without what all of its neighbours' have as well; or cut, so that others may be told as the same. */
  told: "whole" | "apart" | "cut";
}

export const NOTHING_SHARED: Shared = { head: 0, tail: 0 };
/** After these a name may be parted; where it has room between words it is not within a number or a domain. */
const JOINT = /[-_./: ]/;
const WORDS = /[-_/: ]/;
/** In the middle of what is told of a name that is cut: what is left out. */
const LEFT_OUT = "…";

/** The most of a name that there is room for, as large as it has room. `tail`: letters at its end that are kept the longest. */
export function fitName(
  name: string,
  room: Room,
  width: Width,
  shared: Shared = NOTHING_SHARED,
  tail = Math.floor(name.length / 2),
): Fitted {
  const letters = (text: string) => (room.broken ? filled([...text], room.width, room.lines, width) : undefined);
  const words = (text: string) => parted(text, room.width, room.lines, width);
  for (const way of [words, letters]) {
    for (const [at, text] of tellings(name, shared).entries()) {
      const lines = way(text);
      if (lines) return { lines, px: sized(lines, room, width), told: at ? "apart" : "whole" };
    }
  }
  const short = within(name, room.width, width, tail) || [...name].slice(0, 3).join("");
  return { lines: [short], px: room.least, told: "cut" };
}

/** The name, and what tells it from its neighbours: without the end that all have, and without the beginning too. */
function tellings(name: string, { head, tail }: Shared): string[] {
  const found = [name];
  if (tail) found.push(`${name.slice(0, name.length - tail)}${LEFT_OUT}`);
  if (head) found.push(`${LEFT_OUT}${name.slice(head, name.length - tail)}${tail ? LEFT_OUT : ""}`);
  return found;
}

/** The largest of half pixels at which the widest line has room, from the least to what is wished for. */
function sized(lines: readonly string[], { width: most, px, least }: Room, width: Width): number {
  if (lines.length > 1) return least;
  const wide = Math.max(...lines.map(width));
  return Math.min(px, Math.max(least, Math.floor((2 * least * most) / Math.max(1, wide)) / 2));
}

/** In so many lines at the most, parted where it has joints alone. */
export function parted(text: string, room: number, most: number, width: Width): string[] | undefined {
  if (width(text) <= room) return [text];
  if (most < 2) return undefined;
  return filled(piecesOf(text, WORDS), room, most, width) ?? filled(piecesOf(text, JOINT), room, most, width);
}

function piecesOf(text: string, joint: RegExp): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    const next = text.charAt(at + 1);
    if (!joint.test(text.charAt(at)) || !next || joint.test(next)) continue;
    pieces.push(text.slice(from, at + 1));
    from = at + 1;
  }
  pieces.push(text.slice(from));
  return pieces;
}

function filled(pieces: readonly string[], room: number, most: number, width: Width): string[] | undefined {
  const lines: string[] = [];
  let line = "";
  for (const piece of pieces) {
    if (line && width(line + piece) > room) {
      lines.push(line.trimEnd());
      line = "";
      if (lines.length >= most) return undefined;
    }
    line += piece;
    if (width(line) > room) return undefined;
  }
  return [...lines, line];
}

/** What all of some names begin and end with, up to a joint, so that what is left of each is whole words. */
export function sharedOf(names: readonly string[]): Shared {
  const [first = "", ...others] = names;
  if (!others.length) return NOTHING_SHARED;
  let head = first.length;
  let tail = first.length;
  let shortest = first.length;
  for (const name of others) {
    shortest = Math.min(shortest, name.length);
    head = Math.min(
      head,
      alike(first, name, (text, at) => text.charCodeAt(at)),
    );
    tail = Math.min(
      tail,
      alike(first, name, (text, at) => text.charCodeAt(text.length - 1 - at)),
    );
  }
  while (head > 0 && !JOINT.test(first.charAt(head - 1))) head -= 1;
  while (tail > 0 && !JOINT.test(first.charAt(first.length - tail))) tail -= 1;
  // Where one name is all that is shared, nothing would be left of it.
  if (head + tail >= shortest) tail = 0;
  return head >= shortest ? NOTHING_SHARED : { head, tail };
}

function alike(one: string, other: string, letter: (text: string, at: number) => number): number {
  const most = Math.min(one.length, other.length);
  let at = 0;
  while (at < most && letter(one, at) === letter(other, at)) at += 1;
  return at;
}

/** As much of a text as there is room for: its beginning, or with `tail` its end too. Empty below three letters. */
export function within(text: string, room: number, width: Width, tail = 0): string {
  const whole = width(text);
  if (whole <= room) return text;
  let most = Math.min(text.length - 1, Math.floor((text.length * room) / whole));
  for (; most >= 3; most -= 1) {
    const end = Math.min(tail, most - 1);
    const short = `${text.slice(0, most - end)}${LEFT_OUT}${end ? text.slice(-end) : ""}`;
    if (width(short) <= room) return short;
  }
  return "";
}

/** A text in so many lines at the most, parted between words; undefined where it has no room. */
export function wrapped(text: string, room: number, most: number, width: Width): string[] | undefined {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (width(longer) <= room) lines.splice(-1, 1, longer);
    else if (width(word) <= room) lines.push(word);
    else return undefined;
    if (lines.length > most) return undefined;
  }
  return lines;
}
