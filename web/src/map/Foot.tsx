import { A } from "@solidjs/router";
import { Show } from "solid-js";
import { useGiven } from "../parts/context";
import { Waiting } from "../parts/Waiting";
import { visible } from "../words/format";
import { Legend } from "./Legend";
import type { Entry } from "./model/colours";

interface Props {
  /** What there is on the map can be counted. */
  known: boolean;
  /** There is no map. */
  failed: boolean;
  entries: readonly Entry[];
  /** Why Nexus was not asked. */
  trouble: string;
}

/** At the lower edge of the map: what its colours mean, and the way to the lists. */
export function Foot(props: Props) {
  const { fabric } = useGiven();
  return (
    <Show
      when={props.known}
      fallback={
        // Another element than after it: what is said there is not what was said here, and has not moved.
        <div class="map-foot">
          <Show
            when={props.failed && fabric.filled()}
            fallback={
              <p class="map-legend" aria-hidden="true">
                <Opening failed={false} />
              </p>
            }
          >
            <AsList />
          </Show>
        </div>
      }
    >
      <div class="map-foot">
        <Legend entries={props.entries} />
        <Show when={props.trouble}>
          <span class="faint">Nexus was not asked: {visible(props.trouble)}</span>
        </Show>
        <AsList />
      </div>
    </Show>
  );
}

function AsList() {
  return (
    <A class="map-list" href="/nodes">
      As a list
    </A>
  );
}

/** In the place of what is counted on the map, as long as that is not there: nothing of the fabric. */
export function Opening(props: { failed: boolean }) {
  const { fabric } = useGiven();
  return (
    <Show when={fabric.filled()} fallback={<Waiting />}>
      {props.failed ? "The map cannot be drawn here." : "Drawing the map…"}
    </Show>
  );
}
