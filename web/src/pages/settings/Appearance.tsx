import Monitor from "lucide-solid/icons/monitor";
import Moon from "lucide-solid/icons/moon";
import Sun from "lucide-solid/icons/sun";
import { For, Show } from "solid-js";
import { setPage } from "../../actions/desk";
import { setSingleKeys, singleKeys } from "../../actions/keys";
import { type Density, density, setDensity } from "../../parts/density";
import { motionOff, motionReduced, setMotionOff } from "../../parts/motion";
import { setTheme, type Theme, theme } from "../../parts/theme";

const THEMES: { value: Theme; text: string; icon: typeof Sun }[] = [
  { value: "system", text: "System", icon: Monitor },
  { value: "light", text: "Light", icon: Sun },
  { value: "dark", text: "Dark", icon: Moon },
];

const DENSITIES: { value: Density; text: string }[] = [
  { value: "roomy", text: "Roomy" },
  { value: "compact", text: "Compact" },
];

/** Kept by this browser, for this browser. */
export function Appearance() {
  return (
    <section class="card block" aria-labelledby="look">
      <h2 id="look">Appearance and keys</h2>
      <dl class="facts middle">
        <dt id="look-theme">Theme</dt>
        <dd>
          <div class="choice" role="radiogroup" aria-labelledby="look-theme">
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
        </dd>
        <dt id="look-rows">Rows of lists</dt>
        <dd>
          <div class="choice" role="radiogroup" aria-labelledby="look-rows">
            <For each={DENSITIES}>
              {(one) => (
                <label>
                  <input
                    type="radio"
                    name="density"
                    value={one.value}
                    checked={density() === one.value}
                    onChange={() => setDensity(one.value)}
                  />
                  {one.text}
                </label>
              )}
            </For>
          </div>
        </dd>
        <dt>Motion</dt>
        <dd>
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
        </dd>
        <dt>Keys</dt>
        <dd>
          <label class="check">
            <input
              type="checkbox"
              checked={singleKeys()}
              onChange={(event) => setSingleKeys(event.currentTarget.checked)}
            />
            Keys of one letter
          </label>
        </dd>
      </dl>
      <p class="soft">This browser keeps all of it, and nobody else's looks change.</p>
      <div>
        <button type="button" class="button" onClick={() => setPage("keys")}>
          All keys{" "}
          <span class="kbd" aria-hidden="true">
            ?
          </span>
        </button>
      </div>
    </section>
  );
}
