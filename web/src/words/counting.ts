/** What Nexus said of a wait, some time later: it was true when it was said, and time goes on. Pure. */
import { length } from "./events";

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const PART = "\\d+(?:\\.\\d+)? (?:ms|s|m|h|d)";
const WAITS = new RegExp(`(the next comes|tried again) in (${PART}(?: ${PART})?)(?!\\w)`, "g");

/** `said`: an explanation; `elapsedMs`: since it was given. What has come to its end comes at any moment. */
export function countedDown(said: string, elapsedMs: number): string {
  return said.replace(WAITS, (_, what: string, wait: string) => {
    const left = milliseconds(wait) - Math.max(0, elapsedMs);
    // By the second, as it is looked at: a tenth would stand still between two looks.
    return `${what} ${left > 0 ? `in ${length(Math.ceil(left / 1000) * 1000)}` : "at any moment"}`;
  });
}

function milliseconds(wait: string): number {
  let sum = 0;
  for (const [, number, unit] of wait.matchAll(/(\d+(?:\.\d+)?) (ms|s|m|h|d)/g))
    sum += Number(number) * (UNITS[unit ?? ""] ?? 0);
  return sum;
}
