import Check from "lucide-solid/icons/check";
import Copy from "lucide-solid/icons/copy";
import { createSignal, onCleanup, Show } from "solid-js";
import { tell } from "./toasts";

/** Lines that are shown whole; more scroll, and are copied all the same. */
const MANY = 8;

/** A line for a terminal, and a button that copies it. */
export function Copied(props: { text: string; label?: string }) {
  const many = () => props.text.split("\n").length > MANY;
  const [done, setDone] = createSignal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(timer));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.text);
      setDone(true);
      clearTimeout(timer);
      timer = setTimeout(() => setDone(false), 2_000);
    } catch {
      tell(false, "This browser does not let the page copy", "mark the text and copy it by hand");
    }
  };
  return (
    <span class="copied">
      <code classList={{ many: many() }} tabindex={many() ? 0 : undefined}>
        {props.text}
      </code>
      <button
        type="button"
        class="icon-button"
        aria-label={props.label ?? "Copy the command"}
        title={props.label ?? "Copy the command"}
        onClick={() => void copy()}
      >
        <Show when={done()} fallback={<Copy size={14} aria-hidden="true" />}>
          <Check size={14} aria-hidden="true" />
        </Show>
      </button>
      <span class="visually-hidden" role="status">
        {done() ? "Copied" : ""}
      </span>
    </span>
  );
}
