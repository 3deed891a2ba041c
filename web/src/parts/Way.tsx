/** A link that looks like a button, to a page on which something is done; while the past is looked at, or Nexus cannot be reached, it leads nowhere. */
import { A } from "@solidjs/router";
import { type JSX, Show } from "solid-js";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { CUT_OFF, cutOff } from "../state/cut";

export function Way(props: { href: string; primary?: boolean; children: JSX.Element }) {
  return (
    <Show
      when={pastRevision() || cutOff()}
      fallback={
        <A class={`button ${props.primary ? "primary" : ""}`} href={props.href}>
          {props.children}
        </A>
      }
    >
      <button
        type="button"
        class="button"
        classList={{ primary: !!props.primary }}
        disabled
        title={pastRevision() ? IN_THE_PAST : CUT_OFF}
      >
        {props.children}
      </button>
    </Show>
  );
}
