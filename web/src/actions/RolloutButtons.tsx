/** A rollout in progress: hold it, let it go on, or go back. Beside wherever it is shown. */
import { For } from "solid-js";
import type { Agent } from "../api/types";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { begin } from "./desk";
import { offered } from "./rollout";

export function RolloutButtons(props: { agent: Agent }) {
  return (
    <fieldset class="action-bar">
      <legend class="visually-hidden">Of the rollout</legend>
      <For each={offered(props.agent)}>
        {({ action, title, why }) => (
          <button
            type="button"
            class="button"
            disabled={pastRevision() > 0 || !!why}
            title={pastRevision() ? IN_THE_PAST : why || action.title}
            onClick={() => begin(action, [{ kind: "agent", object: props.agent }])}
          >
            {title}
          </button>
        )}
      </For>
    </fieldset>
  );
}
