import { For, Show } from "solid-js";
import type { Difference } from "../api/types";
import { visible } from "../words/format";

/** Field by field: what it was, and what it becomes. */
export function Differences(props: { of: readonly Difference[]; most?: number }) {
  const shown = () => props.of.slice(0, props.most ?? 40);
  return (
    <ul class="differences">
      <For each={shown()}>
        {(one) => (
          <li>
            <code class="path">{visible(one.path)}</code>
            <span>
              <Show when={one.before} fallback={<span class="faint">not set</span>}>
                <del>{visible(one.before ?? "")}</del>
              </Show>
              <span class="faint"> → </span>
              <Show when={one.after} fallback={<span class="faint">not set</span>}>
                <ins>{visible(one.after ?? "")}</ins>
              </Show>
            </span>
          </li>
        )}
      </For>
      <Show when={props.of.length > shown().length}>
        <li class="faint">and {props.of.length - shown().length} more</li>
      </Show>
    </ul>
  );
}
