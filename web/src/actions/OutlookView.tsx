import { For, Show } from "solid-js";
import type { Outlook } from "../api/types";
import { Mark } from "../parts/State";
import { visible } from "../words/format";
import { rows, sentences, TONES } from "./outlook";
import "./outlook.css";

const MOST_ROWS = 30;

/** What would come of it, replica by replica. `anew`: what is to be done replaces what runs. */
export function OutlookView(props: { of: Outlook; anew: boolean }) {
  const all = () => rows(props.of, props.anew);
  return (
    <div class="outlook">
      <ul class="outlook-sums">
        <For each={sentences(props.of, props.anew)} fallback={<li class="soft">No replica moves, starts or stops.</li>}>
          {(one) => (
            <li class={`tone-${one.tone}`}>
              <Mark tone={one.tone} />
              <span>{one.text}</span>
            </li>
          )}
        </For>
        <Show when={!props.of.finished}>
          <li class="soft">It goes on for longer than was looked ahead; what comes after is not told here.</li>
        </Show>
      </ul>
      <Show when={all().length}>
        <section class="outlook-rows" tabindex="0" aria-label="Replica by replica">
          <ul>
            <For each={all().slice(0, MOST_ROWS)}>
              {(row) => (
                <li class={`tone-${TONES[row.fate]}`}>
                  <strong>{visible(row.name)}</strong>
                  <span>{visible(row.way)}</span>
                  <Show when={row.why}>
                    <span class="soft outlook-why">{visible(row.why)}</span>
                  </Show>
                </li>
              )}
            </For>
            <Show when={all().length > MOST_ROWS}>
              <li class="faint">and {all().length - MOST_ROWS} more ways</li>
            </Show>
          </ul>
        </section>
      </Show>
    </div>
  );
}
