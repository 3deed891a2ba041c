import { type Accessor, createEffect } from "solid-js";

/** What the tab is called. */
export function useTitle(title: Accessor<string>): void {
  createEffect(() => {
    document.title = `${title()} · Omnitide`;
  });
}
