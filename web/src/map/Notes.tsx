import { A } from "@solidjs/router";
import { Show } from "solid-js";
import { visible } from "../words/format";
import type { Failure } from "./drawing";

interface Props {
  failed: Failure | undefined;
  /** Try to draw it again. */
  again(): void;
  empty: boolean;
}

/** In the middle of the map, where there is none to be seen: why. */
export function Notes(props: Props) {
  return (
    <>
      <Show when={props.failed}>
        {(failed) => (
          <div class="map-failed card" role="alert">
            <strong>{failed().why ? "The map cannot be drawn here." : "The map can be drawn no more."}</strong>
            <span class="soft">
              {failed().why
                ? `This browser gives no WebGL (${visible(failed().why)}).`
                : "The browser took WebGL away from it, as it does when a graphics card is reset."}{" "}
              All of it is in the lists: <A href="/nodes">nodes</A>, <A href="/agents">agents</A>,{" "}
              <A href="/instances">instances</A>.
            </span>
            <button type="button" class="button" onClick={() => props.again()}>
              Try again
            </button>
          </div>
        )}
      </Show>
      <Show when={props.empty}>
        <div class="map-failed below card">
          <strong>No node has joined yet.</strong>
          <span class="soft">
            <A href="/join">Join a machine</A> makes a token and shows the line to type there; so does{" "}
            <code>omnitide token create</code>.
          </span>
        </div>
      </Show>
    </>
  );
}
