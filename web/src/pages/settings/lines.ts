/** What is done here, on the command line. Pure; every line is tried by the command line's own parser in a test. */
import { shellWord } from "../../actions/target";
import type { Token } from "../../api/types";

export interface NewToken {
  purpose: "join" | "api" | "metrics" | "login";
  /** Text such as `7d`; empty: as Nexus has it. */
  ttl: string;
  note: string;
  uses: number;
  /** `key=value`, or empty. */
  label: string;
}

export function createLine(asked: NewToken): string {
  const ttl = asked.ttl ? ` --ttl ${shellWord(asked.ttl)}` : "";
  // A login's link is made and shown at once.
  if (asked.purpose === "login") return `omnitide panel${ttl}`;
  const kind = asked.purpose === "join" ? "" : ` --${asked.purpose}`;
  const uses = asked.purpose === "join" && asked.uses > 1 ? ` --uses ${asked.uses}` : "";
  const label = asked.purpose === "join" && asked.label ? ` --label ${shellWord(asked.label)}` : "";
  const note = asked.note ? ` --note ${shellWord(asked.note)}` : "";
  return `omnitide token create${kind}${uses}${ttl}${note}${label}`;
}

export function createBody(asked: NewToken): Record<string, unknown> {
  const [key = "", ...rest] = asked.label.split("=");
  const joins = asked.purpose === "join";
  return {
    purpose: asked.purpose,
    note: asked.note,
    ...(asked.ttl ? { ttl: asked.ttl } : {}),
    ...(joins ? { uses: asked.uses } : {}),
    ...(joins && key ? { labels: { [key]: rest.join("=") } } : {}),
  };
}

export function revokeLine(id: string): string {
  return `omnitide token revoke ${shellWord(id)}`;
}

export function listLine(purpose: string): string {
  return `omnitide token list${purpose ? ` --purpose ${purpose}` : ""}`;
}

/** What is lost when a token opens nothing any more. `sessions`: that it let in and that are open. */
export function lossesOf(token: Token, own: string, sessions: number): string[] {
  if (token.id === own) return ["This browser is logged out at once."];
  switch (token.purpose) {
    case "session":
      return ["That browser is logged out at once."];
    case "join":
      return ["No further machine joins by it. Those that have joined stay."];
    case "login":
      return ["Its link opens nothing any more."];
    case "metrics":
      return ["Whoever reads metrics by it, such as a Prometheus, reads none from now on."];
    case "api":
      return [
        "Every person and program that uses it is shut out at once.",
        ...(sessions ? [`So ${sessions === 1 ? "is 1 browser" : `are ${sessions} browsers`} that it has let in.`] : []),
      ];
  }
}
