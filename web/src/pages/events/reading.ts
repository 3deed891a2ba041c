/** Whether somebody is at a list. What comes then waits: it would move what the pointer is about to press. */
import { type Accessor, createComputed, createSignal, onCleanup } from "solid-js";

/** After a finger is lifted: its press is told after it has left, to whatever is there by then. */
const LINGER_MS = 1_000;

/** Handlers for the list and what belongs to it, and whether a pointer has been moved into it or the keyboard's focus is in it. */
export function createReading() {
  const [pointer, setPointer] = createSignal(false);
  const [keyboard, setKeyboard] = createSignal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const came = () => {
    clearTimeout(timer);
    setPointer(true);
  };
  onCleanup(() => clearTimeout(timer));
  const within = {
    // To lie there is not enough: the page may have come beneath a pointer that nobody touches.
    onPointerMove: came,
    onPointerDown: came,
    onPointerLeave: (event: PointerEvent) => {
      clearTimeout(timer);
      if (event.pointerType === "mouse") setPointer(false);
      else timer = setTimeout(() => setPointer(false), LINGER_MS);
    },
    // A press with the pointer focuses too, and stays focused when the pointer has gone.
    onFocusIn: (event: FocusEvent) => setKeyboard((event.target as Element).matches(":focus-visible")),
    onFocusOut: (event: FocusEvent & { currentTarget: Element }) => {
      if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setKeyboard(false);
    },
  };
  return { reading: () => pointer() || keyboard(), within };
}

/** What `latest` is; while `holding`, what it was, until `take` is called. */
export function createHeld<T>(latest: Accessor<T>, holding: Accessor<boolean>) {
  const [shown, setShown] = createSignal(latest());
  const take = () => setShown(() => latest());
  createComputed(() => {
    if (!holding()) take();
  });
  return { shown, take };
}
