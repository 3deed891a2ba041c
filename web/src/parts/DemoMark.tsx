import { type Accessor, createSignal, onCleanup, onMount, Show } from "solid-js";
import { getStatus, Refused } from "../api/client";

const AGAIN_MS = 2_000;

/** Whether this fabric is a demonstration: asked until it is answered. */
export function createDemo(): Accessor<boolean> {
  const [demo, setDemo] = createSignal(false);
  const gone = new AbortController();
  const ask = async () => {
    try {
      setDemo((await getStatus(gone.signal)).demo ?? false);
    } catch (error) {
      if (gone.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      // The page has more to say of that than this.
      setTimeout(() => !gone.signal.aborted && void ask(), AGAIN_MS);
    }
  };
  onMount(ask);
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
