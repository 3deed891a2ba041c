/** Where in a line stands what was searched for, however it is coloured. Pure. */
import type { Piece } from "./ansi";

export interface Part extends Piece {
  found: boolean;
}

export interface Searched {
  grep: string;
  regex: boolean;
  /** Case counts. */
  exact: boolean;
}

/** More in one line are not marked. */
const MOST = 100;
/** Letters of a line that are looked at. */
const MOST_READ = 4_000;

/** What finds it here; undefined for nothing, and for an expression that is for the nodes alone. */
export function finder(searched: Searched): RegExp | undefined {
  if (!searched.grep) return undefined;
  if (searched.regex && mayTakeLong(searched.grep)) return undefined;
  const source = searched.regex ? searched.grep : searched.grep.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  try {
    return new RegExp(source, searched.exact ? "gu" : "giu");
  } catch {
    return undefined;
  }
}

/** Nodes search in one pass; a browser goes back, and an expression in a link could hold up the page for ever. */
function mayTakeLong(source: string): boolean {
  return /\)[*+{]/.test(source) || (source.match(/[*+]|\{\d*,\d*\}/g)?.length ?? 0) > 1;
}

export function marked(pieces: readonly Piece[], find: RegExp | undefined): readonly Part[] {
  if (!find) return pieces.map((one) => ({ ...one, found: false }));
  const spans = spansIn(pieces.map((one) => one.text).join(""), find);
  const parts: Part[] = [];
  let at = 0;
  for (const { text, look } of pieces) {
    const end = at + text.length;
    let from = at;
    const put = (to: number, found: boolean) => {
      if (to > from) parts.push({ text: text.slice(from - at, to - at), look, found });
      from = Math.max(from, to);
    };
    for (const [start, stop] of spans) {
      if (stop <= from || start >= end) continue;
      put(start, false);
      put(Math.min(stop, end), true);
    }
    put(end, false);
    at = end;
  }
  return parts;
}

function spansIn(text: string, find: RegExp): [number, number][] {
  const spans: [number, number][] = [];
  for (const match of text.slice(0, MOST_READ).matchAll(find)) {
    if (match[0]) spans.push([match.index, match.index + match[0].length]);
    if (spans.length === MOST) break;
  }
  return spans;
}
