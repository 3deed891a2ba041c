import { A } from "@solidjs/router";
import { createSignal, For, Show } from "solid-js";
import { Copied } from "../../actions/Copied";
import { tell } from "../../actions/toasts";
import { Refused, request } from "../../api/client";
import type { TokenCreated } from "../../api/types";
import { IN_THE_PAST, pastRevision } from "../../past/when";
import { createBody, createLine, type NewToken } from "./lines";

const KINDS: readonly { value: NewToken["purpose"]; text: string; lasts: string }[] = [
  { value: "api", text: "API: a person or program may do everything", lasts: "without end" },
  { value: "metrics", text: "Metrics: a program may read them, and nothing else", lasts: "without end" },
  { value: "login", text: "Login: a link that logs one browser in, once", lasts: "10m" },
];

/** Another token; its text is shown this once. */
export function TokenForm(props: { made(): void }) {
  const [asked, setAsked] = createSignal<NewToken>({ purpose: "api", ttl: "", note: "", uses: 1, label: "" });
  const [busy, setBusy] = createSignal(false);
  const [made, setMade] = createSignal<{ purpose: NewToken["purpose"]; text: string }>();
  const kind = () => KINDS.find((one) => one.value === asked().purpose);
  const change = (more: Partial<NewToken>) => setAsked((now) => ({ ...now, ...more }));
  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy()) return;
    if (pastRevision()) {
      tell(false, "Nothing was done", IN_THE_PAST);
      return;
    }
    setBusy(true);
    const { purpose } = asked();
    try {
      const token = await request<TokenCreated>("POST", "/v1/tokens", createBody(asked()));
      setMade({ purpose, text: purpose === "login" ? `${location.origin}/?login=${token.text}` : token.text });
      props.made();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      tell(false, error.message, error.hint);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="tokens-form" aria-label="Make a token" onSubmit={(event) => void make(event)}>
      <h3>Make another</h3>
      <div class="tokens-fields">
        <label class="asked">
          For
          <select
            class="field"
            value={asked().purpose}
            onChange={(event) => change({ purpose: event.currentTarget.value as NewToken["purpose"] })}
          >
            <For each={KINDS}>{(one) => <option value={one.value}>{one.text}</option>}</For>
          </select>
        </label>
        <label class="asked">
          Valid for
          <input
            class="field"
            type="text"
            placeholder={kind()?.lasts ?? ""}
            title="A number and s, m, h or d: 90d"
            pattern="[0-9]+\s*(ms|s|m|h|d)"
            value={asked().ttl}
            onInput={(event) => change({ ttl: event.currentTarget.value.trim() })}
            autocomplete="off"
          />
        </label>
        <Show when={asked().purpose !== "login"}>
          <label class="asked">
            Note
            <input
              class="field"
              type="text"
              placeholder="whose, or for what"
              maxlength={200}
              value={asked().note}
              onInput={(event) => change({ note: event.currentTarget.value })}
              autocomplete="off"
            />
          </label>
        </Show>
        <button type="submit" class="button" disabled={busy()}>
          Make it
        </button>
      </div>
      <p class="soft">
        For a machine that is to join: <A href="/join">Join a machine</A>.
      </p>
      <div role="status">
        <Show when={made()}>
          {(one) => (
            <div class="tokens-made">
              <strong>
                {one().purpose === "login" ? "The link" : "The token"}: it is shown this once and kept nowhere
              </strong>
              <Copied text={one().text} label={one().purpose === "login" ? "Copy the link" : "Copy the token"} />
              <div>
                <button type="button" class="button" onClick={() => setMade()}>
                  I have it
                </button>
              </div>
            </div>
          )}
        </Show>
      </div>
      <div class="on-the-command-line">
        <span class="faint">The same on the command line</span>
        <Copied text={createLine(asked())} />
      </div>
    </form>
  );
}
