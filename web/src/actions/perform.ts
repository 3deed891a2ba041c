/** Do an action to all that were chosen, and tell what came of it. */
import { Refused, request } from "../api/client";
import { plural } from "../words/format";
import type { Action, Input } from "./action";
import { nameOf, type Target } from "./target";
import { tell } from "./toasts";

/** Nexus decides one after the other anyway; a browser has six connections. */
const AT_ONCE = 3;

/** A try that changes nothing. Throws Refused. */
export function tryOut<T>(action: Action, target: Target, input: Input, signal: AbortSignal): Promise<T> {
  const asked = action.request(target, input);
  return request<T>(asked.method, `${asked.path}?dry_run=true`, asked.body, signal);
}

/** True if it was done to all. */
export async function perform(action: Action, targets: readonly Target[], input: Input): Promise<boolean> {
  const waiting = [...targets];
  const done: Target[] = [];
  const failed = new Map<string, { names: string[]; hint: string }>();
  const work = async () => {
    for (let target = waiting.shift(); target; target = waiting.shift()) {
      try {
        const asked = action.request(target, input);
        await request(asked.method, asked.path, asked.body);
        done.push(target);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        const same = failed.get(error.message);
        if (same) same.names.push(nameOf(target));
        else failed.set(error.message, { names: [nameOf(target)], hint: error.hint });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const [first] = done;
  if (first) {
    const name = done.length === 1 ? nameOf(first) : plural(done.length, action.kind);
    tell(
      true,
      `${name} ${done.length === 1 ? action.done(input) : `: ${action.title.toLowerCase()} asked for`}`.replace(
        " :",
        ":",
      ),
    );
  }
  for (const [message, { names, hint }] of failed) {
    const more = names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
    tell(false, `${action.title} of ${more} was refused: ${message}`, hint);
  }
  return failed.size === 0;
}
