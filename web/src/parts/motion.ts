/** Whether things may move: as the system says, unless it has been switched off here. */
import { createSignal } from "solid-js";

const KEY = "omnitide.motion";

function kept(): boolean {
  try {
    return localStorage.getItem(KEY) === "off";
  } catch {
    return false;
  }
}

const asked = typeof matchMedia === "undefined" ? undefined : matchMedia("(prefers-reduced-motion: reduce)");
const [off, setOff] = createSignal(kept());
const [reduced, setReduced] = createSignal(asked?.matches ?? false);
asked?.addEventListener("change", (event) => setReduced(event.matches));

export { off as motionOff, reduced as motionReduced };

export function moves(): boolean {
  return !off() && !reduced();
}

export function setMotionOff(next: boolean): void {
  setOff(next);
  try {
    if (next) localStorage.setItem(KEY, "off");
    else localStorage.removeItem(KEY);
  } catch {
    // It then lasts as long as this page.
  }
}
