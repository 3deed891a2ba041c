/** In a dialog: why Nexus does not do what it asks for. */
import { Show } from "solid-js";
import type { Refused } from "../api/client";
import { visible } from "../words/format";

export function WouldRefuse(props: { refused: Refused | undefined }) {
  return (
    <div role="status">
      <Show when={props.refused}>
        {(told) => (
          <p class="notice">
            Nexus would refuse this: {visible(told().message)}
            <Show when={told().hint}>
              <span>{visible(told().hint)}</span>
            </Show>
          </p>
        )}
      </Show>
    </div>
  );
}
