/** A token, the one line for the other machine, and the node as it arrives. */
import { A } from "@solidjs/router";
import { createMemo, createSignal, For, Show } from "solid-js";
import { renderSVG } from "uqr";
import { nodeHref } from "../actions";
import { Copied } from "../actions/Copied";
import { tell } from "../actions/toasts";
import { Refused, request } from "../api/client";
import type { TokenCreated, TokenList } from "../api/types";
import { useGiven } from "../parts/context";
import { State } from "../parts/State";
import { useTitle } from "../parts/title";
import { bytes, cores, plural, span, visible } from "../words/format";
import { nodeState } from "../words/states";
import { createAsked } from "./asked";
import { LISTENING, leadsToItself, PACKAGE, WAYS } from "./joining";
import { createBody, createLine, type NewToken } from "./settings/lines";

export function Join() {
  const { fabric, nowMs } = useGiven();
  const [made, setMade] = createSignal<TokenCreated>();
  const [busy, setBusy] = createSignal(false);
  const [uses, setUses] = createSignal(1);
  const [label, setLabel] = createSignal("");
  const [way, setWay] = createSignal(WAYS[0] as (typeof WAYS)[number]);
  const asked = (): NewToken => ({
    purpose: "join",
    ttl: "",
    note: "made in the panel",
    uses: Number.isNaN(uses()) ? 1 : uses(),
    label: label().trim(),
  });
  // Those that were there before are not who is awaited.
  const [before, setBefore] = createSignal<ReadonlySet<string>>(new Set());
  useTitle(() => "Join a machine");

  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const token = await request<TokenCreated>("POST", "/v1/tokens", createBody(asked()));
      setBefore(new Set(fabric.all("node").keys()));
      setMade(token);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      tell(false, error.message, error.hint);
    } finally {
      setBusy(false);
    }
  };
  const line = () => way().line(location.origin, made()?.text ?? "");
  // No one scans another address than the line's own: it is all in there.
  const code = createMemo(() => {
    const svg = renderSVG(line(), { border: 2, ecc: "M" });
    return `data:image/svg+xml,${encodeURIComponent(svg)}`;
  });
  const arrived = () => [...fabric.all("node").values()].filter((one) => !before().has(one.id));
  // What is left of it only Nexus knows: another machine may have come by another token.
  const tokens = createAsked(
    () => made()?.token?.id,
    () => arrived().length,
    15_000,
    (id, signal) =>
      request<TokenList>("GET", "/v1/tokens?purpose=join&limit=1000", undefined, signal).then((list) =>
        list.items.find((one) => one.id === id),
      ),
  );
  const left = () => (tokens.value() ?? made()?.token)?.uses_left ?? 0;
  const local = leadsToItself(location.hostname);

  return (
    <>
      <header class="page-head">
        <h1>Join a machine</h1>
      </header>
      <div class="page-body">
        <div class="settings join">
          <section class="card block" aria-labelledby="token-title">
            <h2 id="token-title">1 · A token</h2>
            <form class="join-form" onSubmit={(event) => void make(event)}>
              <label class="asked">
                Machines
                <input
                  class="field"
                  type="number"
                  min="1"
                  max="10000"
                  required
                  value={uses()}
                  onInput={(event) => setUses(event.currentTarget.valueAsNumber)}
                />
              </label>
              <label class="asked">
                Label on each, if any
                <input
                  class="field"
                  type="text"
                  placeholder="zone=attic"
                  value={label()}
                  onInput={(event) => setLabel(event.currentTarget.value)}
                  pattern="[^=\s]+=\S*"
                  autocomplete="off"
                />
              </label>
              <button type="submit" class="button" classList={{ primary: !made() }} disabled={busy()}>
                {made() ? "Make another" : "Make a token"}
              </button>
            </form>
            <div class="on-the-command-line">
              <span class="faint">The same on the command line</span>
              <Copied text={createLine({ ...asked(), note: "" })} />
            </div>
          </section>
          <Show when={made()}>
            {(token) => (
              <>
                <section class="card block" aria-labelledby="line-title">
                  <h2 id="line-title">2 · On the {local ? "same" : "other"} machine</h2>
                  <div class="choice ways" role="radiogroup" aria-label="What kind of machine">
                    <For each={WAYS}>
                      {(one) => (
                        <label>
                          <input type="radio" name="way" checked={way() === one} onChange={() => setWay(one)} />
                          {one.title}
                        </label>
                      )}
                    </For>
                  </div>
                  {/* No other machine comes by what leads each to itself: nothing is offered as if one did. */}
                  <Show when={local}>
                    <div class="notice join-loopback" role="note">
                      <p>
                        No other machine can join by {location.hostname}, where this page was opened: it leads each
                        machine to itself. Have Nexus listen where others reach it, by a name or address that they know,
                        and open the panel there:
                      </p>
                      <Copied text={LISTENING} />
                      <p>
                        The line below has this address: it is of use on this machine alone, and not in a container, for
                        a node beside the one that is here, with a data folder of its own (--data).
                      </p>
                    </div>
                  </Show>
                  <p class="soft">{way().words}</p>
                  <div class="join-line">
                    <Copied text={line()} />
                    <Show when={!local}>
                      <img class="join-code" src={code()} alt="The same line as a QR code" width="148" height="148" />
                    </Show>
                  </div>
                  <p class="soft">The machine dials out: nothing has to reach it. {way().more}</p>
                  <details class="join-asking">
                    <summary>The line holds the token, and a shell keeps it in its history. Rather not?</summary>
                    <p class="soft">This one asks for the token, and shows nothing of it:</p>
                    <Copied text={way().asking(location.origin)} />
                    <p class="soft">Then paste this, and press Enter:</p>
                    <Copied text={token().text} label="Copy the token" />
                  </details>
                  <details class="join-first">
                    <summary>
                      {way().first === PACKAGE ? "Omnitide is not installed there yet?" : "The image is not there yet?"}
                    </summary>
                    <For each={way().first}>
                      {(one) => (
                        <>
                          <p class="soft">{one.words}</p>
                          <Copied text={one.line} />
                        </>
                      )}
                    </For>
                    <Show when={way().first === PACKAGE}>
                      <p class="soft">More of it: docs/how-to/install.md in the checkout.</p>
                    </Show>
                  </details>
                  <p class="faint">
                    It is shown this once.
                    <Show when={token().token?.expires_ms}>
                      {(end) => (
                        <>
                          {" "}
                          {left()
                            ? `Valid for ${span(end() - nowMs())}, for ${plural(left(), arrived().length ? "further machine" : "machine")}.`
                            : "It has been used: for a further machine make another."}
                        </>
                      )}
                    </Show>
                  </p>
                </section>
                <section class="card block" aria-labelledby="arrival-title" aria-live="polite">
                  <h2 id="arrival-title">3 · It arrives</h2>
                  <Show when={arrived().length} fallback={<p class="soft">Waiting for a machine to join…</p>}>
                    <ul class="list">
                      <For each={arrived()}>
                        {(node) => (
                          <li>
                            <State state={nodeState(node)} />
                            <span class="list-words">
                              <A href={nodeHref(node.name)}>
                                <strong>{visible(node.name)}</strong>
                              </A>{" "}
                              <span class="soft">
                                {cores(node.cpu_milli)} cores, {bytes(node.memory_bytes)}
                              </span>
                            </span>
                          </li>
                        )}
                      </For>
                    </ul>
                  </Show>
                </section>
              </>
            )}
          </Show>
        </div>
      </div>
    </>
  );
}
