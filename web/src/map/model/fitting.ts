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

/** Those that a name is to be told from, itself among them, and what they share. */
export interface Kin extends Shared {
  names: readonly string[];
}

export interface Fitted {
  lines: readonly string[];
  px: number;
  /** Whole; without what all of its kin have; cut so that it is still told from each; or so that others may be told as it. */
  told: "whole" | "apart" | "short" | "cut";
}

const NOTHING_SHARED: Shared = { head: 0, tail: 0 };
const ALONE: Kin = { ...NOTHING_SHARED, names: [] };
/** After these a name may be parted; where it has room between words it is not within a number or a domain. */
const JOINT = /[-_./: ]/;
const WORDS = /[-_/: ]/;
/** In the middle of what is told of a name that is cut: what is left out. */
const LEFT_OUT = "…";
const LEAST_LETTERS = 3;
/** So many lengths are tried from the longest on that has room. */
const TRIES = 4;

/**
 * The most of a name that there is room for, as large as it has room. `tail`: letters at its end that are kept the longest,
 * unless others end in them too.
 */
export function fitName(
  name: string,
  room: Room,
  width: Width,
  kin: Kin = ALONE,
  tail = Math.floor(name.length / 2),
): Fitted {
  const words = (text: string) => parted(text, room.width, room.lines, width);
  const letters = (text: string) => words(text) ?? brokenUp(text, room.width, room.lines, width);
  for (const way of room.broken ? [words, letters] : [words]) {
    for (const [at, text] of tellings(name, kin).entries()) {
      const lines = way(text);
      if (lines) return { lines, px: sized(lines, room, width), told: at ? "apart" : "whole" };
    }
  }
  return cut([...name], room.broken ? letters : words, room, kin, tail);
}

/** Shortened to what has room: in the middle, where that tells it from its kin, or else to the part that does. */
function cut(
  letters: readonly string[],
  way: (text: string) => string[] | undefined,
  { least }: Room,
  { names }: Kin,
  tail: number,
): Fitted {
  const others = names.filter((one) => one !== letters.join(""));
  let first: string[] | undefined;
  let left = TRIES;
  for (let most = letters.length - 1; most >= LEAST_LETTERS; most -= 1) {
    if (!first && !way(shortened(letters, most, Math.min(tail, most - 1))[2])) continue;
    // From here on there is room for so many letters, about: what is left is which ones.
    const kept = Math.min(tail, most - 1);
    const ends = Array.from({ length: most }, (_, end) => end);
    ends.sort((one, other) => Math.abs(one - kept) - Math.abs(other - kept));
    for (const end of ends) {
      const [head, foot, text] = shortened(letters, most, end);
      const lines = way(text);
      if (!lines) continue;
      first ??= lines;
      if (!others.some((one) => one.startsWith(head) && one.endsWith(foot))) return { lines, px: least, told: "short" };
    }
    for (let from = 0; from + most <= letters.length; from += 1) {
      const part = letters.slice(from, from + most).join("");
      const lines = others.some((one) => one.includes(part)) ? undefined : way(LEFT_OUT + part + LEFT_OUT);
      if (lines) return { lines, px: least, told: "short" };
    }
    left -= 1;
    if (!left) break;
  }
  return { lines: first ?? [letters.slice(0, LEAST_LETTERS).join("")], px: least, told: "cut" };
}

/** Its beginning, its end of so many letters, and both with what is left out between them. */
function shortened(letters: readonly string[], most: number, end: number): [string, string, string] {
  const head = letters.slice(0, most - end).join("");
  const foot = end ? letters.slice(-end).join("") : "";
  return [head, foot, head + LEFT_OUT + foot];
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

/** Parted within a word too: where that is wider than a line, and anywhere only where there is no room else. */
function brokenUp(text: string, room: number, most: number, width: Width): string[] | undefined {
  for (const joint of most > 1 ? [WORDS, JOINT] : []) {
    const pieces = piecesOf(text, joint).flatMap((piece) => cutUp(piece, room, width));
    const lines = filled(pieces, room, most, width);
    if (lines) return lines;
  }
  return filled([...text], room, most, width);
}

/** In pieces as long as a line, if it is longer than one. */
function cutUp(piece: string, room: number, width: Width): string[] {
  if (width(piece) <= room) return [piece];
  const pieces: string[] = [];
  let line = "";
  for (const letter of piece) {
    if (line && width(line + letter) > room) {
      pieces.push(line);
      line = "";
    }
    line += letter;
  }
  return [...pieces, line];
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

/** Names that are to be told from one another. */
export function kinOf(names: readonly string[]): Kin {
  return { ...sharedOf(names), names };
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

/** As much of the beginning of a text as there is room for. Empty below three letters. */
export function within(text: string, room: number, width: Width): string {
  if (width(text) <= room) return text;
  const letters = [...text];
  for (let most = letters.length - 1; most >= LEAST_LETTERS; most -= 1) {
    const short = `${letters.slice(0, most).join("")}${LEFT_OUT}`;
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
