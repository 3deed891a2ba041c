import { createSignal, onCleanup, onMount, Show } from "solid-js";
import { Copied } from "../actions/Copied";
import { closed, type Naming } from "../actions/desk";
import { tell } from "../actions/toasts";
import { refuses, WouldRefuse } from "../actions/WouldRefuse";
import { Refused, request } from "../api/client";
import { visible } from "../words/format";
import { createLine, isMisnamed, NAME_PATTERN, NAME_RULE, namespacePath, removeLine } from "./namespaces";

/** Makes a namespace, or removes an empty one; what Nexus would refuse is told first. */
export function NamespaceDialog(props: { of: Naming }) {
  let dialog: HTMLDialogElement | undefined;
  const wanted = props.of;
  const making = wanted.kind === "make";
  const [name, setName] = createSignal(wanted.kind === "remove" ? wanted.name : "");
  const [busy, setBusy] = createSignal(false);
  const [refused, setRefused] = createSignal<Refused>();
  const gone = new AbortController();
  onCleanup(() => gone.abort());
  onMount(() => {
    dialog?.showModal();
    if (making) return;
    request("DELETE", `${namespacePath(name())}?dry_run=true`, undefined, gone.signal).catch((error: unknown) => {
      if (gone.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setRefused(error);
    });
  });
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy() || (!making && refuses(refused()))) return;
    setBusy(true);
    try {
      if (wanted.kind === "make") await request("POST", namespacePath(), { name: name() });
      else await request("DELETE", namespacePath(name()));
      tell(true, `The namespace ${name()} is ${making ? "made" : "removed"}`);
      if (wanted.kind === "make") wanted.made(name());
      dialog?.close();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setRefused(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="namespace-title" onClose={closed}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="namespace-title">{making ? "New namespace" : `Remove the namespace ${visible(name())}`}</h2>
        <Show when={making} fallback={<p>It holds no agent and no job. One of the same name can be made again.</p>}>
          <p class="soft">Names of agents, jobs, secrets and configs are its own: two of one name can be in two.</p>
          <label class="asked">
            Name
            <input
              class="field"
              required
              autofocus
              autocomplete="off"
              spellcheck={false}
              pattern={NAME_PATTERN}
              aria-describedby="namespace-rule"
              aria-invalid={isMisnamed(name())}
              value={name()}
              onInput={(event) => {
                setName(event.currentTarget.value);
                setRefused();
              }}
            />
          </label>
          <p
            id="namespace-rule"
            class={isMisnamed(name()) ? "tone-bad state-text" : "soft"}
            role={isMisnamed(name()) ? "alert" : "note"}
          >
            {NAME_RULE}
          </p>
        </Show>
        <WouldRefuse refused={refused()} />
        <div class="on-the-command-line">
          <span class="faint">The same on the command line</span>
          <Copied text={making ? createLine(name() || "NAME") : removeLine(name())} />
        </div>
        <div class="dialog-foot">
          <button type="button" class="button" onClick={() => dialog?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            class={`button ${making ? "primary" : "grave"}`}
            disabled={busy() || (!making && refuses(refused()))}
          >
            {making ? "Make it" : "Remove"}
          </button>
        </div>
      </form>
    </dialog>
  );
}
