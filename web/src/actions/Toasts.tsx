import CircleAlert from "lucide-solid/icons/circle-alert";
import CircleCheck from "lucide-solid/icons/circle-check";
import X from "lucide-solid/icons/x";
import { For, Show } from "solid-js";
import { visible } from "../words/format";
import { dismiss, toasts } from "./toasts";

export function Toasts() {
  return (
    <div class="toasts" role="log" aria-live="polite" aria-label="What came of it">
      <For each={toasts()}>
        {(one) => (
          <div class={`toast tone-${one.good ? "good" : "bad"}`}>
            <Show when={one.good} fallback={<CircleAlert size={16} aria-hidden="true" />}>
              <CircleCheck size={16} aria-hidden="true" />
            </Show>
            <span>
              {visible(one.text)}
              <Show when={one.hint}>
                <span class="soft toast-hint">{visible(one.hint)}</span>
              </Show>
            </span>
            <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => dismiss(one.id)}>
              <X size={14} aria-hidden="true" />
            </button>
          </div>
        )}
      </For>
    </div>
  );
}
