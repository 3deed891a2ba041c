/** A rollout in progress: hold it, let it go on, or go back. Beside wherever it is shown. */
import { For, Show } from "solid-js";
import type { Agent } from "../api/types";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { begin } from "./desk";
import { actionById } from "./registry";
import type { Target } from "./target";

const OFFERED = [
  ["agent.pause", "Pause"],
  ["agent.resume", "Resume"],
  ["agent.rollback", "Roll back"],
] as const;

export function RolloutButtons(props: { agent: Agent }) {
  const target = (): Target => ({ kind: "agent", object: props.agent });
  return (
    <fieldset class="action-bar">
      <legend class="visually-hidden">Of the rollout</legend>
      <For each={OFFERED}>
        {([id, title]) => {
          const action = actionById(id);
          return (
            <Show when={!action.hindrance(target())}>
              <button
                type="button"
                class="button"
                disabled={pastRevision() > 0}
                title={pastRevision() ? IN_THE_PAST : action.title}
                onClick={() => begin(action, [target()])}
              >
                {title}
              </button>
            </Show>
          );
        }}
      </For>
    </fieldset>
  );
}
