/** Whether somebody is at the page: what they may be reading, or about to press, is then not to move. */
import { createSignal, onCleanup, onMount } from "solid-js";

/** After the last touch: so long a screenful is read. */
const READING_MS = 30_000;
const SIGNS = ["pointermove", "pointerdown", "wheel", "keydown", "scroll", "touchmove"] as const;

/** True from the beginning, for who has just come, and for a while after each sign of somebody. */
export function createPresent() {
  const [present, setPresent] = createSignal(true);
  let seenMs = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    const left = seenMs + READING_MS - performance.now();
    timer = left > 0 ? setTimeout(look, left) : undefined;
    if (!timer) setPresent(false);
  };
  const seen = () => {
    seenMs = performance.now();
    if (timer) return;
    setPresent(true);
    look();
  };
  onMount(() => {
    look();
    // Captured: what scrolls is a part of the page, and that does not bubble.
    for (const sign of SIGNS) addEventListener(sign, seen, { capture: true, passive: true });
  });
  onCleanup(() => {
    clearTimeout(timer);
    for (const sign of SIGNS) removeEventListener(sign, seen, { capture: true });
  });
  return present;
}
