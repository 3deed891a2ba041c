import { A } from "@solidjs/router";
import { Show } from "solid-js";
import { visible } from "../words/format";

/** In the middle of the map, where there is none to be seen: why. */
export function Notes(props: { failed: string; empty: boolean }) {
  return (
    <>
      <Show when={props.failed}>
        <div class="map-failed card" role="alert">
          <strong>The map cannot be drawn here.</strong>
          <span class="soft">
            This browser gives no WebGL ({visible(props.failed)}). All of it is in the lists: <A href="/nodes">nodes</A>
            , <A href="/agents">agents</A>, <A href="/instances">instances</A>.
          </span>
        </div>
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
