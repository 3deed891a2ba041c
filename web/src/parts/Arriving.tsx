import { useLocation } from "@solidjs/router";
import { createSignal, onCleanup, Show } from "solid-js";
import { useGiven } from "./context";
import { PLACES } from "./places";
import { Waiting } from "./Waiting";

/** A script that is neither answered nor refused would be waited for in silence; public/first.js has it so too. */
const LATE_MS = 15_000;

/** In the place of a page whose script is on its way: as index.html has it before there is any script. */
export function Arriving() {
  const { fabric } = useGiven();
  const location = useLocation();
  const [late, setLate] = createSignal(false);
  const timer = setTimeout(() => setLate(true), LATE_MS);
  onCleanup(() => clearTimeout(timer));
  const place = () => PLACES.find(({ href }) => href === location.pathname);
  return (
    <>
      <header class="page-head" aria-busy="true">
        <Show when={place()}>
          {(named) => (
            <h1>
              {named().title}
              {named().more}
            </h1>
          )}
        </Show>
      </header>
      <div class="page-body">
        <Show when={late()}>
          <p role="alert">
            This page's script has not come for 15 seconds. It is still waited for. Load the page again; if it still
            does not come, see whether the line to Nexus is good.
          </p>
          <p>
            <button type="button" class="button" onClick={() => window.location.reload()}>
              Load again
            </button>
          </p>
        </Show>
        <Show when={!fabric.filled()}>
          <p class="soft">
            <Waiting />
          </p>
        </Show>
      </div>
    </>
  );
}
