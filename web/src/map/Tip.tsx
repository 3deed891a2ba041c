import { Show } from "solid-js";
import { visible } from "../words/format";
import type { Point } from "./model/geometry";

/** Beside the pointer, what it is at; whoever hears the page is told of the node that the keyboard is at. */
export function Tip(props: { told: { title: string; more: string } | undefined; at: Point }) {
  return (
    <Show when={props.told}>
      {(told) => (
        <div
          class="map-tip"
          aria-hidden="true"
          style={{ transform: `translate(${Math.round(props.at.x + 14)}px, ${Math.round(props.at.y + 16)}px)` }}
        >
          <strong>{visible(told().title)}</strong>
          <span>{visible(told().more)}</span>
        </div>
      )}
    </Show>
  );
}
