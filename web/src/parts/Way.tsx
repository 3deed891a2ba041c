/** A link that looks like a button, to a page on which something is done; while the past is looked at it leads nowhere. */
import { A } from "@solidjs/router";
import { type JSX, Show } from "solid-js";
import { IN_THE_PAST, pastRevision } from "../past/when";

export function Way(props: { href: string; primary?: boolean; children: JSX.Element }) {
  return (
    <Show
      when={pastRevision()}
      fallback={
        <A class={`button ${props.primary ? "primary" : ""}`} href={props.href}>
          {props.children}
        </A>
      }
    >
      <button type="button" class="button" classList={{ primary: !!props.primary }} disabled title={IN_THE_PAST}>
        {props.children}
      </button>
    </Show>
  );
}
