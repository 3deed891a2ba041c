/** In place of what could not be shown because the panel itself has a fault; around it all else goes on. */
import { onMount, Show } from "solid-js";
import { visible } from "../words/format";

/** `what`: of the panel has failed. `again`: try it once more, where that can help. */
export function Failed(props: { what: string; error: unknown; again?: () => void }) {
  // For whoever looks for the fault: where it is.
  // biome-ignore lint/suspicious/noConsole: nothing else tells what has failed
  onMount(() => console.error(props.error));
  const told = () => (props.error instanceof Error ? props.error.message : String(props.error));
  return (
    <div class="empty" role="alert">
      <h1>{props.what} cannot be shown</h1>
      <span>That is a fault of the panel, not of the fabric: what runs goes on, and nothing was changed.</span>
      <code>{visible(told()).slice(0, 300)}</code>
      <span class="empty-ways">
        {/* Whole loads: what has failed may be what follows links. */}
        <a class="button" href="/overview" target="_self">
          Overview
        </a>
        <Show when={props.again}>
          <button type="button" class="button" onClick={() => props.again?.()}>
            Try again
          </button>
        </Show>
        <button type="button" class="button primary" onClick={() => location.reload()}>
          Reload
        </button>
      </span>
    </div>
  );
}
