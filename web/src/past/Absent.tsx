/** In place of a page, where the address asks for a revision that there is not: what there is, and the ways to it. */
import { onCleanup, onMount, Show } from "solid-js";
import { Refused } from "../api/client";
import { useGiven } from "../parts/context";
import { useTitle } from "../parts/title";
import { count, visible } from "../words/format";
import { firstKept } from "./steps";

export function Absent(props: { why: string }) {
  const { fabric } = useGiven();
  const { past } = fabric;
  useTitle(() => "No such revision");
  const gone = new AbortController();
  onCleanup(() => gone.abort());
  onMount(async () => {
    try {
      past.keptFrom(await firstKept(gone.signal));
    } catch (error) {
      // Then it is not said which one is the oldest.
      if (!gone.signal.aborted && !(error instanceof Refused)) throw error;
    }
  });
  const sentence = () => props.why.charAt(0).toUpperCase() + props.why.slice(1);
  return (
    <div class="empty" role="alert">
      <h1>There is no such revision to show</h1>
      <span>{visible(sentence())}.</span>
      <Show when={fabric.newest()}>
        <span>
          Kept are the revisions {count(past.first())} to {count(fabric.newest())}.
        </span>
      </Show>
      <span class="empty-ways">
        <Show when={fabric.newest()}>
          <button type="button" class="button" onClick={() => past.show(past.first())}>
            The oldest that is kept
          </button>
        </Show>
        <button type="button" class="button primary" onClick={() => past.back()}>
          Back to now
        </button>
      </span>
    </div>
  );
}
