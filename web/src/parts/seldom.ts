/**
 * What is worked out from very many objects, as often as that costs little of the time, however often they change. What
 * the reader asks for is done at once.
 */
import { type Accessor, createEffect, createSignal, onCleanup, untrack } from "solid-js";

const SHARE = 0.1;
const SOON_MS = 60;

/** `asked`: read what the reader chose, and whether anything is known yet. `changing`: read what the fabric changes. */
export function createSeldom<T>(asked: () => void, changing: () => void, compute: () => T): Accessor<T> {
  const [value, setValue] = createSignal<T>(untrack(compute));
  let tookMs = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const renew = () => {
    clearTimeout(timer);
    timer = undefined;
    const began = performance.now();
    const next = untrack(compute);
    setValue(() => next);
    tookMs = performance.now() - began;
  };
  createEffect((first: boolean) => {
    asked();
    if (!first) renew();
    return false;
  }, true);
  createEffect((first: boolean) => {
    changing();
    if (!first && timer === undefined) timer = setTimeout(renew, Math.max(SOON_MS, tookMs / SHARE));
    return false;
  }, true);
  onCleanup(() => clearTimeout(timer));
  return value;
}
