import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";

/** What is said to be there for a while: nothing as long as it is another all the time, and nothing at once when it is gone. */
export function createSettled(said: Accessor<string>, afterMs: number): Accessor<string> {
  const [settled, setSettled] = createSignal("");
  let timer: ReturnType<typeof setTimeout> | undefined;
  createEffect(
    on(said, (one) => {
      clearTimeout(timer);
      if (one) timer = setTimeout(() => setSettled(one), afterMs);
      else setSettled("");
    }),
  );
  onCleanup(() => clearTimeout(timer));
  return settled;
}
