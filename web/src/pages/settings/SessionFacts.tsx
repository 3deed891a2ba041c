import { createSignal, Show } from "solid-js";
import { Copied } from "../../actions/Copied";
import { useGiven } from "../../parts/context";
import { dateTime, span, visible } from "../../words/format";
import { revokeLine } from "./lines";

/** Who is logged in here, since when and until when. */
export function SessionFacts() {
  const { caller, nowMs, logOut } = useGiven();
  const [leaving, setLeaving] = createSignal(false);
  const token = () => caller().token;
  const leave = async () => {
    setLeaving(true);
    await logOut();
  };
  return (
    <section class="card block" aria-labelledby="session">
      <h2 id="session">You</h2>
      <dl class="facts">
        <dt>Browser</dt>
        <dd>{visible(token().note ?? "") || "–"}</dd>
        <dt>Session</dt>
        <dd class="mono">{token().id}</dd>
        <dt>Let in by</dt>
        <dd class="mono">{token().created_by}</dd>
        <dt>May do</dt>
        <dd>everything: whoever is in administers the fabric</dd>
        <dt>Logged in</dt>
        <dd>
          {dateTime(token().created_ms)} <span class="faint">({span(nowMs() - token().created_ms)} ago)</span>
        </dd>
        <Show when={token().expires_ms}>
          {(end) => (
            <>
              <dt>Ends</dt>
              <dd>
                {dateTime(end())} <span class="faint">(in {span(end() - nowMs())}; then log in again)</span>
              </dd>
            </>
          )}
        </Show>
      </dl>
      <div>
        <button type="button" class="button" disabled={leaving()} onClick={() => void leave()}>
          Log out
        </button>
      </div>
      <div class="on-the-command-line">
        <span class="faint">The same on the command line</span>
        <Copied text={revokeLine(token().id)} />
      </div>
    </section>
  );
}
