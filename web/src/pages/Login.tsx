import { createSignal, onMount, Show } from "solid-js";
import { openSession, Refused } from "../api/client";
import { useTitle } from "../parts/title";

interface Props {
  /** Of the link that was opened; empty for none. */
  code: string;
  /** Why one has to log in again. */
  why: string;
  onLoggedIn(): void;
}

export function Login(props: Props) {
  const [secret, setSecret] = createSignal("");
  const [busy, setBusy] = createSignal(false);
  const [refused, setRefused] = createSignal<{ text: string; hint: string }>();
  useTitle(() => "Log in");

  const open = async (text: string) => {
    setBusy(true);
    setRefused();
    try {
      await openSession(text);
      setSecret("");
      props.onLoggedIn();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setRefused({ text: error.message, hint: error.hint });
    } finally {
      setBusy(false);
    }
  };
  onMount(() => {
    if (props.code) void open(props.code);
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const text = secret().trim();
    if (text && !busy()) void open(text);
  };

  return (
    <main class="login">
      <div class="card login-card">
        <div class="login-brand">
          <img src="/icon.svg" alt="" />
          <div>
            <h1>Omnitide</h1>
            <p class="soft">{location.host}</p>
          </div>
        </div>
        <div role="status">
          <Show when={props.why && !refused() && !busy()}>
            <p class="notice calm">{sentence(props.why)}</p>
          </Show>
          <Show when={busy()}>
            <p class="notice calm">Logging in…</p>
          </Show>
          <Show when={refused()}>
            {(told) => (
              <p class="notice">
                {sentence(told().text)}
                <Show when={told().hint}>
                  <span>{told().hint}</span>
                </Show>
              </p>
            )}
          </Show>
        </div>
        <form onSubmit={submit}>
          <label>
            API token or login code
            <input
              class="field"
              type="password"
              name="token"
              placeholder="oma_…"
              value={secret()}
              onInput={(event) => setSecret(event.currentTarget.value)}
              autocomplete="off"
              spellcheck={false}
              maxlength={256}
              required
            />
          </label>
          <button type="submit" class="button primary" disabled={busy()}>
            Log in
          </button>
        </form>
        <div class="login-how">
          <p>Or open a one-time link, which is printed where a token is:</p>
          <p>
            <code>omnitide panel</code>
          </p>
        </div>
      </div>
    </main>
  );
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}
