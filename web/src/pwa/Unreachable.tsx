import Unplug from "lucide-solid/icons/unplug";
import { createSignal, onCleanup, Show } from "solid-js";
import { useTitle } from "../parts/title";
import { dateTime, span, visible } from "../words/format";
import { lastSeenMs } from "./seen";

/** The frame without a fabric: Nexus is not there, and nothing that it said before is shown as if it were. */
export function Unreachable(props: { trouble: string; again(): void }) {
  const [nowMs, setNowMs] = createSignal(Date.now());
  const timer = setInterval(() => setNowMs(Date.now()), 1_000);
  onCleanup(() => clearInterval(timer));
  useTitle(() => "Not connected");
  const seenMs = lastSeenMs();
  return (
    <main class="login">
      <div class="card login-card unreachable">
        <div class="login-brand">
          <img src="/icon.svg" alt="" />
          <div>
            <h1>Omnitide</h1>
            <p class="soft">{location.host}</p>
          </div>
        </div>
        <p class="notice calm" role="status">
          <Unplug size={15} aria-hidden="true" /> {visible(props.trouble)}
          <span>It is tried again.</span>
        </p>
        <p class="soft">
          <Show when={seenMs} fallback="This browser has not seen the fabric before.">
            Last seen {dateTime(seenMs)}, <span aria-hidden="true">{span(nowMs() - seenMs)} ago</span>. What runs there
            goes on without Nexus; nothing of it is known here until it is back.
          </Show>
        </p>
        <button type="button" class="button" onClick={() => props.again()}>
          Try now
        </button>
      </div>
    </main>
  );
}
