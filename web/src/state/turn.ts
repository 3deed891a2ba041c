/**
 * Long work in parts, each a task of its own: what a person presses meanwhile is heard between two of them, and pictures are
 * drawn.
 */
import { type Accessor, createEffect, createMemo, createSignal, onCleanup } from "solid-js";

const { scheduler } = globalThis as { scheduler?: { yield?(): Promise<void> } };

/** Resolves when whatever else waits has had its turn. */
export function turn(): Promise<void> {
  return scheduler?.yield?.() ?? new Promise((resume) => setTimeout(resume));
}

/** How many of so many parts of a page are to be there: none until it is ready, and then one more with each turn. */
export function createTurns(ready: () => boolean, parts: number): Accessor<number> {
  const [there, setThere] = createSignal(0);
  const begun = createMemo(ready);
  let run = 0;
  createEffect(async () => {
    run += 1;
    const mine = run;
    if (!begun()) {
      setThere(0);
      return;
    }
    for (let part = 1; part <= parts; part += 1) {
      await turn();
      if (mine !== run) return;
      setThere(part);
    }
  });
  onCleanup(() => {
    run += 1;
  });
  return there;
}
