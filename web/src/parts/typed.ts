/**
 * Text that is typed and stands in the address: what is typed holds at once, the address follows. The router sets an
 * address in a transition of its own; whatever else changes meanwhile would still be worked out by the old one.
 */
import { useSearchParams } from "@solidjs/router";
import { type Accessor, createEffect, createSignal, on } from "solid-js";

/** `name`: of the parameter. */
export function createTyped(name: string): [Accessor<string>, (next: string) => void] {
  const [params, setParams] = useSearchParams<Record<string, string>>();
  const [text, setText] = createSignal(params[name] ?? "");
  /** Written to the address and not seen there yet, oldest first. */
  let written: string[] = [];
  createEffect(
    on(
      () => params[name] ?? "",
      (shown) => {
        const at = written.lastIndexOf(shown);
        if (at >= 0) {
          written = written.slice(at + 1);
          return;
        }
        // Somebody else set it: a link, or the way back.
        written = [];
        setText(shown);
      },
      { defer: true },
    ),
  );
  return [
    text,
    (next) => {
      setText(next);
      if (next === (params[name] ?? "") && !written.length) return;
      written = [...written.slice(-50), next];
      setParams({ [name]: next || null }, { replace: true, scroll: false });
    },
  ];
}
