import { createSignal, For, onCleanup, onMount, Show } from "solid-js";
import { Copied } from "../../actions/Copied";
import { tell } from "../../actions/toasts";
import { refuses, WouldRefuse } from "../../actions/WouldRefuse";
import { Refused, request } from "../../api/client";
import type { Token } from "../../api/types";
import { visible } from "../../words/format";
import { lossesOf, revokeLine } from "./lines";

interface Props {
  token: Token;
  /** Of the session that asks. */
  own: string;
  /** Open ones that it has let in. */
  sessions: number;
  closed(done: boolean): void;
}

/** Asks before a token opens nothing any more; what Nexus would refuse is told first. */
export function RevokeDialog(props: Props) {
  let dialog: HTMLDialogElement | undefined;
  const [busy, setBusy] = createSignal(false);
  const [refused, setRefused] = createSignal<Refused>();
  const path = () => `/v1/tokens/${encodeURIComponent(props.token.id)}`;
  const gone = new AbortController();
  onCleanup(() => gone.abort());
  onMount(() => {
    dialog?.showModal();
    request("DELETE", `${path()}?dry_run=true`, undefined, gone.signal).catch((error: unknown) => {
      if (gone.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setRefused(error);
    });
  });
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy() || refuses(refused())) return;
    setBusy(true);
    try {
      await request("DELETE", path());
      tell(true, `${props.token.id} opens nothing any more`);
      props.closed(true);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setRefused(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="revoke-title" onClose={() => props.closed(false)}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="revoke-title">
          Revoke {props.token.purpose} {props.token.id}
        </h2>
        <Show when={props.token.note}>
          <p class="soft">{visible(props.token.note ?? "")}</p>
        </Show>
        <p>From now on it opens nothing. There is no way back: make another where it is needed.</p>
        <div class="losses">
          <strong>What is lost</strong>
          <ul>
            <For each={lossesOf(props.token, props.own, props.sessions)}>{(one) => <li>{one}</li>}</For>
          </ul>
        </div>
        <WouldRefuse refused={refused()} />
        <div class="on-the-command-line">
          <span class="faint">The same on the command line</span>
          <Copied text={revokeLine(props.token.id)} />
        </div>
        <div class="dialog-foot">
          <button type="button" class="button" autofocus onClick={() => dialog?.close()}>
            Cancel
          </button>
          <button type="submit" class="button grave" disabled={busy() || refuses(refused())}>
            Revoke
          </button>
        </div>
      </form>
    </dialog>
  );
}
