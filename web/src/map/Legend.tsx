/** What the colours and shapes mean, with how many there are of each. */
import { For, Match, Switch } from "solid-js";
import { count, visible } from "../words/format";
import type { Entry } from "./model/colours";

export function Legend(props: { entries: readonly Entry[] }) {
  return (
    <ul class="map-legend" aria-label="What the colours mean">
      <For each={props.entries}>
        {(entry) => (
          <Switch
            fallback={
              <li>
                <Sign entry={entry} />
                <span>{visible(entry.text)}</span>
                <span class="faint tabular">{count(entry.count)}</span>
              </li>
            }
          >
            <Match when={entry.shape === "note"}>
              <li class="faint">{entry.text}</li>
            </Match>
            <Match when={entry.shape === "scale"}>
              <li>
                <span>{entry.text.split("|")[0]}</span>
                <span class="map-scale" aria-hidden="true" />
                <span>{entry.text.split("|")[1]}</span>
              </li>
            </Match>
          </Switch>
        )}
      </For>
    </ul>
  );
}

const PATHS: Record<string, string> = {
  process: "M2.5 2h7a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1V3a1 1 0 0 1 1-1z",
  docker: "M11 6 8.5 10.4h-5L1 6l2.5-4.4h5z",
  wasm: "M6 .8 11.2 6 6 11.2.8 6z",
  sandbox: "M6 1.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6zm0 2.4a2.4 2.4 0 1 1 0 4.8 2.4 2.4 0 0 1 0-4.8z",
  other: "M6 1 11 10H1z",
  building: "M1 2.5A1.5 1.5 0 0 1 2.5 1h7A1.5 1.5 0 0 1 11 2.5v7A1.5 1.5 0 0 1 9.5 11h-7A1.5 1.5 0 0 1 1 9.5z",
};

function Sign(props: { entry: Entry }) {
  return (
    <svg
      class={`map-sign of-${props.entry.colour}`}
      classList={{ hollow: props.entry.hollow ?? false }}
      viewBox="0 0 12 12"
      width="12"
      height="12"
      aria-hidden="true"
    >
      <path d={PATHS[props.entry.shape] ?? ""} fill-rule="evenodd" />
    </svg>
  );
}
