/** Why nodes refuse an instance, each reason with how many nodes; those of one are lit alone. */
import { Index, Show } from "solid-js";
import { count, plural, visible } from "../words/format";
import type { Refusals } from "./model/refusals";

interface Props {
  refusals: Refusals;
  /** Pressed, it stays lit when the pointer has gone. Empty: all are. */
  pressed: string;
  press(key: string): void;
  point(key: string): void;
}

export function Reasons(props: Props) {
  return (
    <Show when={props.refusals.reasons.length}>
      <section class="map-reasons" aria-label="Why nodes refuse it">
        {/* By place: what is asked anew each few seconds takes the focus from nobody. */}
        <ul>
          <Index each={props.refusals.reasons}>
            {(reason) => (
              <li>
                <button
                  type="button"
                  aria-pressed={props.pressed === reason().key}
                  onClick={() => props.press(props.pressed === reason().key ? "" : reason().key)}
                  onPointerEnter={(event) => event.pointerType === "mouse" && props.point(reason().key)}
                  onPointerLeave={() => props.point("")}
                  onFocus={(event) => event.currentTarget.matches(":focus-visible") && props.point(reason().key)}
                  onBlur={() => props.point("")}
                >
                  <span>
                    <strong>{plural(reason().nodes, "node")}</strong> · {visible(reason().text)}
                  </span>
                </button>
              </li>
            )}
          </Index>
        </ul>
        <p class="faint">
          They are lit on the map: point at a reason, or press it, and its nodes alone are.
          <Show when={props.refusals.told < props.refusals.all}>
            {" "}
            Of {count(props.refusals.all)} nodes the {count(props.refusals.told)} that lack least.
          </Show>
        </p>
      </section>
    </Show>
  );
}
