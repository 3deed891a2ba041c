/** Something that only Nexus can say, asked anew when it may be another: what was said last stays until then. */
import { type Accessor, createEffect, createMemo, createSignal, on, onCleanup } from "solid-js";
import { Refused } from "../api/client";
import { ONLY_NOW, pastRevision } from "../past/when";

/** Between two questions, however often what they are about changes. */
const LEAST_MS = 700;

interface Asked<T> {
  value: Accessor<T | undefined>;
  /** Why the last question has no answer; empty if it has. */
  failed: Accessor<string>;
  /** A further question at once. */
  again(): void;
}

/**
 * `key`: whom it is about; what was said of another is forgotten. `when`: it may be another now. `inPast`: the question
 * is about whatever time is shown; others are not asked while that is the past, for the answer would be of now.
 */
export function createAsked<T>(
  key: Accessor<string | undefined>,
  when: Accessor<unknown>,
  everyMs: number,
  ask: (key: string, signal: AbortSignal) => Promise<T>,
  inPast = false,
): Asked<T> {
  // Memos: what they are worked out from changes with each state of the same object.
  const about = createMemo(key);
  const then = createMemo(() => !inPast && pastRevision() > 0);
  const [value, setValue] = createSignal<T>();
  const [failed, setFailed] = createSignal("");
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | undefined;
  let beganMs = Number.NEGATIVE_INFINITY;

  const later = (waitMs: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => void go(), waitMs);
  };
  const go = async () => {
    const asked = about();
    if (asked === undefined) return;
    if (pastRevision() && !inPast) {
      setFailed(ONLY_NOW);
      return;
    }
    if (document.visibilityState === "hidden") return later(everyMs);
    if (running) return later(LEAST_MS);
    const mine = new AbortController();
    running = mine;
    beganMs = performance.now();
    try {
      const found = await ask(asked, mine.signal);
      if (mine.signal.aborted) return;
      setValue(() => found);
      setFailed("");
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setFailed(error.message);
    } finally {
      if (running === mine) running = undefined;
    }
    later(everyMs);
  };
  createEffect(
    on([about, then], () => {
      running?.abort();
      running = undefined;
      setValue();
      setFailed("");
      later(0);
    }),
  );
  createEffect(on(when, () => later(Math.max(0, beganMs + LEAST_MS - performance.now())), { defer: true }));
  onCleanup(() => {
    clearTimeout(timer);
    running?.abort();
  });
  return { value, failed, again: () => later(0) };
}
