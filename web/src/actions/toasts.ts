/** What came of what was done: good news goes by itself, bad news stays until it is read. */
import { createSignal } from "solid-js";

export interface Toast {
  id: number;
  good: boolean;
  text: string;
  hint: string;
}

const GOOD_MS = 6_000;
/** More than these, and the oldest goes. */
const MOST = 5;

const [toasts, setToasts] = createSignal<readonly Toast[]>([]);
let last = 0;

export { toasts };

export function tell(good: boolean, text: string, hint = ""): void {
  last += 1;
  const id = last;
  setToasts((now) => [...now, { id, good, text, hint }].slice(-MOST));
  if (good) setTimeout(() => dismiss(id), GOOD_MS);
}

export function dismiss(id: number): void {
  setToasts((now) => now.filter((one) => one.id !== id));
}
