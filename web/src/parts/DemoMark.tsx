import { type Accessor, createSignal, onCleanup, onMount, Show } from "solid-js";
import { getStatus, Refused } from "../api/client";

/** Whether this fabric is a demonstration: asked once. */
export function createDemo(): Accessor<boolean> {
  const [demo, setDemo] = createSignal(false);
  const gone = new AbortController();
  onMount(async () => {
    try {
      setDemo((await getStatus(gone.signal)).demo ?? false);
    } catch (error) {
      // Without an answer the page has more to say of that than this.
      if (!gone.signal.aborted && !(error instanceof Refused)) throw error;
    }
  });
  onCleanup(() => gone.abort());
  return demo;
}

/** On every page of a fabric that is a demonstration: nothing that it shows is real. */
export function DemoMark(props: { shown: boolean }) {
  return (
    <Show when={props.shown}>
      <p class="demo-mark" title="A demonstration: its machines are simulated, and what runs there is made up">
        Demo<span> · simulated machines</span>
      </p>
    </Show>
  );
}
