import Monitor from "lucide-solid/icons/monitor";
import Moon from "lucide-solid/icons/moon";
import Sun from "lucide-solid/icons/sun";
import { createSignal, For, Show } from "solid-js";
import { useGiven } from "../parts/context";
import { motionOff, motionReduced, setMotionOff } from "../parts/motion";
import { setTheme, type Theme, theme } from "../parts/theme";
import { useTitle } from "../parts/title";
import { count, dateTime, span, visible } from "../words/format";

const THEMES: { value: Theme; text: string; icon: typeof Sun }[] = [
  { value: "system", text: "System", icon: Monitor },
  { value: "light", text: "Light", icon: Sun },
  { value: "dark", text: "Dark", icon: Moon },
];

export function SettingsPage() {
  const { caller, fabric, nowMs, logOut } = useGiven();
  const [leaving, setLeaving] = createSignal(false);
  useTitle(() => "Settings");
  const token = () => caller().token;
  const leave = async () => {
    setLeaving(true);
    await logOut();
  };
  return (
    <>
      <header class="page-head">
        <h1>Settings</h1>
      </header>
      <div class="page-body">
        <div class="settings">
          <section class="card block" aria-labelledby="look">
            <h2 id="look">Appearance</h2>
            <fieldset class="filters">
              <legend class="visually-hidden">Theme</legend>
              <div class="choice">
                <For each={THEMES}>
                  {(one) => (
                    <label>
                      <input
                        type="radio"
                        name="theme"
                        value={one.value}
                        checked={theme() === one.value}
                        onChange={() => setTheme(one.value)}
                      />
                      <one.icon size={14} aria-hidden="true" />
                      {one.text}
                    </label>
                  )}
                </For>
              </div>
            </fieldset>
            <label class="check">
              <input
                type="checkbox"
                checked={motionOff() || motionReduced()}
                disabled={motionReduced()}
                onChange={(event) => setMotionOff(event.currentTarget.checked)}
              />
              Nothing moves on the map
              <Show when={motionReduced()}>
                <span class="faint"> (as this system asks of all pages)</span>
              </Show>
            </label>
          </section>
          <section class="card block" aria-labelledby="session">
            <h2 id="session">Session</h2>
            <dl class="facts">
              <dt>Browser</dt>
              <dd>{visible(token().note) || "–"}</dd>
              <dt>Session</dt>
              <dd class="mono">{token().id}</dd>
              <dt>Opened by</dt>
              <dd class="mono">{token().created_by}</dd>
              <dt>Logged in</dt>
              <dd>
                {dateTime(token().created_ms)} <span class="faint">({span(nowMs() - token().created_ms)} ago)</span>
              </dd>
              <Show when={token().expires_ms}>
                <dt>Ends</dt>
                <dd>
                  {dateTime(token().expires_ms)}{" "}
                  <span class="faint">(in {span(token().expires_ms - nowMs())}; then log in again)</span>
                </dd>
              </Show>
              <dt>On the command line</dt>
              <dd>
                <code>omnitide token list --purpose session</code>
              </dd>
            </dl>
            <div>
              <button type="button" class="button" disabled={leaving()} onClick={() => void leave()}>
                Log out
              </button>
            </div>
          </section>
          <section class="card block" aria-labelledby="fabric">
            <h2 id="fabric">Fabric</h2>
            <dl class="facts">
              <dt>Fabric</dt>
              <dd class="mono">{caller().fabric_id}</dd>
              <dt>Address</dt>
              <dd class="mono">{location.origin}</dd>
              <dt>Revision</dt>
              <dd>{count(fabric.revision())}</dd>
              <dt>Software</dt>
              <dd>
                <a href="/licenses.md" target="_blank" rel="noreferrer">
                  Licences of what the panel is made of
                </a>
              </dd>
            </dl>
          </section>
        </div>
      </div>
    </>
  );
}
