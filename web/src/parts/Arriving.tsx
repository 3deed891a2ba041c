import { useLocation } from "@solidjs/router";
import { Show } from "solid-js";
import { useGiven } from "./context";
import { PLACES } from "./places";
import { Waiting } from "./Waiting";

/** In the place of a page whose script is on its way: as index.html has it before there is any script. */
export function Arriving() {
  const { fabric } = useGiven();
  const location = useLocation();
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
        <Show when={!fabric.filled()}>
          <p class="soft">
            <Waiting />
          </p>
        </Show>
      </div>
    </>
  );
}
