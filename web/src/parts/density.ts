/** How much room the rows of lists take; public/first.js sets it before the first paint. */
import { createSignal } from "solid-js";

export type Density = "roomy" | "compact";

const KEY = "omnitide.density";

function kept(): Density {
  return typeof document !== "undefined" && document.documentElement.dataset.density === "compact"
    ? "compact"
    : "roomy";
}

const [density, setSignal] = createSignal<Density>(kept());

export { density };

export function setDensity(next: Density): void {
  setSignal(next);
  if (next === "compact") document.documentElement.dataset.density = next;
  else delete document.documentElement.dataset.density;
  try {
    if (next === "compact") localStorage.setItem(KEY, next);
    else localStorage.removeItem(KEY);
  } catch {
    // It then lasts as long as this page.
  }
}
