import { type Accessor, createEffect } from "solid-js";
import { pastRevision } from "../past/when";

/** What the tab is called. */
export function useTitle(title: Accessor<string>): void {
  createEffect(() => {
    const revision = pastRevision();
    document.title = `${revision ? `Past, revision ${revision} · ` : ""}${title()} · Omnitide`;
  });
}
