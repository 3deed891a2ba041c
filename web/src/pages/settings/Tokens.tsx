/** Who gets in, and by what: tokens and sessions; made, and revoked. */
import { createMemo, createSignal, For, Show } from "solid-js";
import { Copied } from "../../actions/Copied";
import { request } from "../../api/client";
import type { Token, TokenList } from "../../api/types";
import { useGiven } from "../../parts/context";
import { State } from "../../parts/State";
import { count, dateTime, plural, span, visible } from "../../words/format";
import type { Tone } from "../../words/states";
import { createAsked } from "../asked";
import { listLine } from "./lines";
import { RevokeDialog } from "./RevokeDialog";
import { TokenForm } from "./TokenForm";

const PURPOSES = ["", "api", "join", "metrics", "login", "session"] as const;
const TITLES: Record<(typeof PURPOSES)[number], string> = {
  "": "All",
  api: "API",
  join: "Join",
  metrics: "Metrics",
  login: "Login",
  session: "Sessions",
};
const TONES: Record<Token["state"], Tone> = { valid: "good", expired: "off", "used-up": "off", revoked: "off" };
const EVERY_MS = 15_000;
/** Looked through, the newest of them shown: a fabric of many logins has very many that open nothing. */
const MOST_PAGES = 20;
const SHOWN = 50;

async function allTokens(purpose: string, signal: AbortSignal): Promise<{ tokens: readonly Token[]; whole: boolean }> {
  const tokens: Token[] = [];
  let cursor = "";
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const asked = new URLSearchParams({ purpose, limit: "500", ...(cursor ? { cursor } : {}) });
    const found = await request<TokenList>("GET", `/v1/tokens?${asked}`, undefined, signal);
    tokens.push(...found.items);
    cursor = found.next_cursor ?? "";
    if (!cursor) return { tokens, whole: true };
  }
  return { tokens, whole: false };
}

export function Tokens() {
  const { caller, nowMs } = useGiven();
  const [purpose, setPurpose] = createSignal<(typeof PURPOSES)[number]>("");
  const [spent, setSpent] = createSignal(false);
  const [revoking, setRevoking] = createSignal<Token>();
  const asked = createAsked(
    () => "tokens",
    () => 0,
    EVERY_MS,
    (_, signal) => allTokens("", signal),
  );
  const all = () => asked.value()?.tokens ?? [];
  const found = createMemo(() =>
    all()
      .filter((one) => (!purpose() || one.purpose === purpose()) && (spent() || one.state === "valid"))
      .reverse(),
  );
  const letIn = (token: Token) =>
    all().filter((one) => one.purpose === "session" && one.state === "valid" && one.created_by.endsWith(`:${token.id}`))
      .length;
  return (
    <section class="card block wide" aria-labelledby="tokens">
      <div class="block-head">
        <h2 id="tokens">Tokens and sessions</h2>
        <span class="faint">{asked.value() ? `${count(found().length)} of ${count(all().length)}` : ""}</span>
      </div>
      <div class="tokens-tools">
        <div class="choice" role="radiogroup" aria-label="For what">
          <For each={PURPOSES}>
            {(one) => (
              <label>
                <input type="radio" name="purpose" checked={purpose() === one} onChange={() => setPurpose(one)} />
                {TITLES[one]}
              </label>
            )}
          </For>
        </div>
        <label class="check">
          <input type="checkbox" checked={spent()} onChange={(event) => setSpent(event.currentTarget.checked)} />
          Also those that open nothing any more
        </label>
      </div>
      <Show
        when={found().length}
        fallback={<p class="soft">{visible(asked.failed()) || (asked.value() ? "There is none." : "Asking Nexus…")}</p>}
      >
        <ul class="list tokens" aria-label="Tokens">
          <For each={found().slice(0, SHOWN)}>
            {(token) => (
              <li>
                <span class="tokens-state">
                  <State state={{ tone: TONES[token.state], text: token.state, more: "" }} />
                </span>
                <span class="list-words">
                  <strong>{token.purpose}</strong> <span class="mono">{token.id}</span>
                  <Show when={token.id === caller().token.id}>
                    {" "}
                    <span class="chip">this browser</span>
                  </Show>
                  <Show when={token.note}>
                    {" "}
                    <span class="soft">{visible(token.note ?? "")}</span>
                  </Show>
                  <br />
                  <span class="faint">
                    <span title={dateTime(token.created_ms)}>{span(nowMs() - token.created_ms)} old</span>, by{" "}
                    {visible(token.created_by)}
                    <Show when={token.purpose === "join" && token.state === "valid"}>
                      , for {plural(token.uses_left ?? 0, "more machine")}
                    </Show>
                    <Show when={token.state === "valid"}>
                      {token.expires_ms ? `, ends in ${span(token.expires_ms - nowMs())}` : ", without end"}
                    </Show>
                    <For each={Object.entries(token.labels ?? {})}>
                      {([key, value]) => <>, {visible(`${key}=${value}`)}</>}
                    </For>
                  </span>
                </span>
                <Show when={token.state === "valid"}>
                  <button
                    type="button"
                    class="button grave-soft"
                    aria-label={`Revoke ${token.purpose} ${token.id}`}
                    onClick={() => setRevoking(token)}
                  >
                    Revoke
                  </button>
                </Show>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <Show when={found().length > SHOWN}>
        <p class="soft">The newest {SHOWN} are shown; the command line lists all.</p>
      </Show>
      <Show when={asked.value() && !asked.value()?.whole}>
        <p class="soft">There are more, which the command line lists.</p>
      </Show>
      <div class="on-the-command-line">
        <span class="faint">The same on the command line</span>
        <Copied text={listLine(purpose())} />
      </div>
      <TokenForm made={asked.again} />
      <Show when={revoking()} keyed>
        {(token) => (
          <RevokeDialog
            token={token}
            own={caller().token.id}
            sessions={letIn(token)}
            closed={(done) => {
              setRevoking();
              if (done) asked.again();
            }}
          />
        )}
      </Show>
    </section>
  );
}
