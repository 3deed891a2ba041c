/** In a dialog: why Nexus does not do what it asks for. */
import { Show } from "solid-js";
import type { Refused } from "../api/client";
import { visible } from "../words/format";

/** Whether there is no use in asking for it: one that could not be asked may do it all the same. */
export function refuses(refused: Refused | undefined): boolean {
  return refused !== undefined && refused.code !== "unreachable";
}

export function WouldRefuse(props: { refused: Refused | undefined }) {
  return (
    <div role="status">
      <Show when={props.refused}>
        {(told) => (
          <p class="notice">
            <Show when={refuses(told())} fallback="Nexus cannot be reached, and was not asked.">
              Nexus would refuse this: {visible(told().message)}
            </Show>
            <Show when={told().hint && refuses(told())}>
              <span>{visible(told().hint)}</span>
            </Show>
          </p>
        )}
      </Show>
    </div>
  );
}
