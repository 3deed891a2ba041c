/** When something was deployed, came to a place or was tried again, and how a chart says so of what lies together. Pure. */
import { plural } from "../words/format";

export interface Mark {
  atMs: number;
  text: string;
  /** A version that was deployed, one that started at a place, or another attempt. */
  kind: "version" | "start" | "attempt";
}

/** Marks whose texts would lie on each other have one together. */
export interface Marked {
  /** All of them, the oldest first. */
  marks: readonly Mark[];
  /** Where each of them is. */
  xs: number[];
  /** Where the text begins; with `before`, where it ends. */
  x: number;
  before: boolean;
  text: string;
}

/** More are said by how many they are, and versions by the first and the last too. */
const NAMED_MARKS = 3;
/** Of the width of a chart, what the text of several may take. */
const TEXT_SHARE = 1 / 3;

/** Marks in sight, by pixel. `wide`: of a text; `gap`: between a mark and its text. */
export function marksIn(
  marks: readonly Mark[],
  fromMs: number,
  toMs: number,
  width: number,
  wide: (text: string) => number,
  gap: number,
): Marked[] {
  const found: { marked: Marked; from: number; to: number }[] = [];
  const place = (marks: readonly Mark[], xs: number[]) => {
    const [first, last] = [xs[0] ?? 0, xs.at(-1) ?? 0];
    const text = together(marks, (one) => wide(one) <= width * TEXT_SHARE);
    const size = wide(text);
    // Where there is no room on the right of it there is on the left; of what fits nowhere, the end is seen.
    const before = last + gap + size > width;
    const x = before ? Math.min(width, Math.max(first - gap, size)) : last + gap;
    return { marked: { marks, xs, x, before, text }, from: before ? x - size : first, to: before ? last : x + size };
  };
  for (const mark of [...marks].sort((one, other) => one.atMs - other.atMs)) {
    if (mark.atMs < fromMs || mark.atMs > toMs || toMs <= fromMs) continue;
    let now = place([mark], [((mark.atMs - fromMs) / (toMs - fromMs)) * width]);
    for (let last = found.at(-1); last && now.from < last.to + gap; last = found.at(-1)) {
      found.pop();
      now = place([...last.marked.marks, ...now.marked.marks], [...last.marked.xs, ...now.marked.xs]);
    }
    found.push(now);
  }
  return found.map(({ marked }) => marked);
}

function together(marks: readonly Mark[], fits: (text: string) => boolean): string {
  const texts = [...new Set(marks.map(({ text }) => text))];
  const [first = ""] = texts;
  if (texts.length === 1) return first;
  const [kind = "change", ...others] = new Set(marks.map((one) => one.kind));
  const many = plural(texts.length, others.length ? "change" : kind);
  const some = kind === "version" && !others.length ? `${first} … ${texts.at(-1)} (${texts.length})` : many;
  const names = texts.length > NAMED_MARKS ? some : texts.join(", ");
  return fits(names) ? names : many;
}

/** Of the text of marks: its middle below the upper edge, and the half of its height. CSS pixels. */
const MARK_TEXT = { middle: 9, half: 7 } as const;

/** The middle of the text of marks, below the line of the most there can be where that would go through it. Pixels of the
 * canvas, of which there are `dense` for one of CSS. */
export function markTextY(top: number, ceilingY: number | undefined, dense: number): number {
  const middle = top + MARK_TEXT.middle * dense;
  const half = MARK_TEXT.half * dense;
  return ceilingY !== undefined && Math.abs(ceilingY - middle) < half ? ceilingY + half : middle;
}
