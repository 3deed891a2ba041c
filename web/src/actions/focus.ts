/** Where the focus is when an action's dialog opens, so that Enter at once does no harm. Pure. */
import type { Action, Around, Input } from "./action";
import type { Target } from "./target";

/**
 * One rule: what has to be said is said first; else, what loses or interrupts something begins at Cancel, and what does not at
 * its own button.
 */
export function focusOf(
  action: Action,
  targets: readonly Target[],
  input: Input,
  around: Around,
): "field" | "cancel" | "act" {
  if (!targets.length) return "cancel";
  // How many may be away at once need not be said.
  if (action.ask && action.ask.kind !== "atOnce") return "field";
  const costs = action.grave || targets.some((one) => action.losses(one, input, around).length > 0);
  return costs ? "cancel" : "act";
}
