/**
 * What programs write for terminals, as text with colours: the sequences for colours and bold are taken, all others
 * left out, and control characters shown as what they are. Pure; what comes out is only ever shown as text.
 */
import { visible } from "../../words/format";

export interface Piece {
  text: string;
  /** Of the style sheet; empty for none. */
  look: string;
}

const COLOURS = ["", "red", "green", "yellow", "blue", "magenta", "cyan", ""] as const;
/** CSI; OSC, ended by BEL or ST; and the short ones of two or three characters. */
const SEQUENCE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /\u001b(?:\[([0-9;:?<=>]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\|$)|[ -/]*[0-~])|\u009b[0-9;?]*[@-~]/g;

export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let colour = "";
  let bold = false;
  let from = 0;
  const put = (part: string) => {
    if (!part) return;
    const look = [colour && `ansi-${colour}`, bold && "ansi-bold"].filter(Boolean).join(" ");
    found.push({ text: shown(part), look });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    put(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] !== "m") continue;
    const codes = (match[1] || "0").split(/[;:]/).map(Number);
    for (let index = 0; index < codes.length; index += 1) {
      const code = codes[index] ?? 0;
      if (code === 0) [colour, bold] = ["", false];
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) colour = "";
      else if (code === 38 || code === 48) index += codes[index + 1] === 2 ? 4 : 2;
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) colour = COLOURS[code % 10] ?? "";
    }
  }
  put(text.slice(from));
  return found;
}

/** Without any look: for searching. */
export function plain(text: string): string {
  return pieces(text)
    .map((one) => one.text)
    .join("");
}

function shown(text: string): string {
  // A bar that redraws itself: what stood last is what was to be seen.
  const redrawn = text.slice(text.lastIndexOf("\r") + 1);
  return visible(redrawn.replaceAll("\t", "    "));
}
