/** Namespaces: which may be named so, what is asked of Nexus, and the same on the command line. */
import { type Naming, setNaming, setPage } from "../actions/desk";
import { tell } from "../actions/toasts";
import type { Namespace } from "../api/types";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { plural } from "../words/format";

/** As the API has it (`NAME_PATTERN` in model/names.py), for a field's `pattern`. */
export const NAME_PATTERN = "[a-z]([a-z0-9\\-]{0,38}[a-z0-9])?";
/** The same in words. */
export const NAME_RULE = "Lower-case letters, digits and hyphens, 40 at most; a letter first, no hyphen last.";
const MAY_BE = new RegExp(`^${NAME_PATTERN}$`);
export const DEFAULT = "default";

/** Whether a namespace cannot have this name. Of nothing typed so far nothing is said. */
export function isMisnamed(name: string): boolean {
  return name !== "" && !MAY_BE.test(name);
}

export const createLine = (name: string) => `omnitide namespace create ${name}`;
export const removeLine = (name: string) => `omnitide namespace rm ${name}`;
export const LIST_LINE = "omnitide namespace list";

export function namespacePath(name = ""): string {
  return name ? `/v1/namespaces/${encodeURIComponent(name)}` : "/v1/namespaces";
}

/** What stands in its way to be removed, as far as the panel sees; empty: nothing. */
export function holds(one: Namespace): string {
  if (one.name === DEFAULT) return "every fabric has it";
  return [one.agents ? plural(one.agents, "agent") : "", one.jobs ? plural(one.jobs, "job") : ""]
    .filter(Boolean)
    .join(", ");
}

/** Ask before it is done. */
export function ask(now: Naming): void {
  setPage("");
  if (pastRevision()) tell(false, "Nothing was done", IN_THE_PAST);
  else setNaming(() => now);
}
