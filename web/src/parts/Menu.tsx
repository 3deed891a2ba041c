import { type JSX, onCleanup, onMount } from "solid-js";
import { useDoings } from "../actions/desk";
import { ariaKey, shownKey } from "../actions/keys";

/** A button that opens something small; it closes by Escape and by going elsewhere. */
export function Menu(props: { icon: JSX.Element; label: string; key?: string; children: JSX.Element }) {
  let details: HTMLDetailsElement | undefined;
  const elsewhere = (event: Event) => {
    if (details?.open && event.target instanceof Node && !details.contains(event.target)) details.open = false;
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !details?.open) return;
    details.open = false;
    details.querySelector("summary")?.focus();
  };
  onMount(() => {
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("focusin", elsewhere);
  });
  onCleanup(() => {
    document.removeEventListener("pointerdown", elsewhere);
    document.removeEventListener("focusin", elsewhere);
  });
  useDoings(() => {
    const { key, label } = props;
    if (!key) return [];
    const run = () => {
      if (!details) return;
      details.open = true;
      details.querySelector<HTMLElement>(".menu-body :is(input, button)")?.focus();
    };
    return [{ title: label, key, run }];
  });
  return (
    <details class="menu" ref={details} onKeyDown={pressed}>
      <summary
        class="icon-button"
        aria-label={props.label}
        title={props.key ? `${props.label} (${shownKey(props.key)})` : props.label}
        aria-keyshortcuts={props.key ? ariaKey(props.key) : undefined}
      >
        {props.icon}
      </summary>
      <div class="menu-body">{props.children}</div>
    </details>
  );
}
