import { Show } from "solid-js";
import { visible } from "../words/format";
import type { State as Shown, Tone } from "../words/states";

export function Mark(props: { tone: Tone }) {
  return (
    <span class={`tone-${props.tone}`}>
      <span class="mark" />
    </span>
  );
}

/** A state in its colour, its shape and in words. */
export function State(props: { state: Shown }) {
  return (
    <span class={`state tone-${props.state.tone}`}>
      <span class="mark" aria-hidden="true" />
      <span class="ellipsis">
        <span class="state-text">{props.state.text}</span>
        <Show when={props.state.more}>
          <span class="state-more"> · {visible(props.state.more)}</span>
        </Show>
      </span>
    </span>
  );
}
