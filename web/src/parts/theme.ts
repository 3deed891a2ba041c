/** Light, dark, or as the system says. public/first.js sets it before the first paint. */
import { createSignal } from "solid-js";

export type Theme = "system" | "light" | "dark";

const KEY = "omnitide.theme";

function kept(): Theme {
  const set = document.documentElement.dataset.theme;
  return set === "light" || set === "dark" ? set : "system";
}

const [theme, setSignal] = createSignal<Theme>(kept());

export { theme };

export function setTheme(next: Theme): void {
  setSignal(next);
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // It then lasts as long as this page.
  }
}
