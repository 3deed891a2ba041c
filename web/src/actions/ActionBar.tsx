import { useNavigate } from "@solidjs/router";
import { For, Show } from "solid-js";
import { plural, visible } from "../words/format";
import { begin } from "./desk";
import { ariaKey, shownKey, singleKeys } from "./keys";
import { follow, hindranceOf, openingsFor } from "./openings";
import { meantBy } from "./pressed";
import { actionsFor, hindrance } from "./registry";
import { nameOf, type Target } from "./target";

interface Props {
  targets: readonly Target[];
  /** What is chosen as well and has its own buttons before these: a key that is theirs is not said here. */
  after?: readonly Target[];
}

/** A button for each action; those that cannot be done now say why. */
export function ActionBar(props: Props) {
  const navigate = useNavigate();
  const meant = () => {
    const [only] = props.targets;
    return only && props.targets.length === 1
      ? `${only.kind} ${visible(nameOf(only))}`
      : plural(props.targets.length, only?.kind ?? "thing");
  };
  const own = (key: string) => singleKeys() && !meantBy(key, props.after ?? []);
  return (
    <fieldset class="action-bar">
      <legend class="visually-hidden">Actions for {meant()}</legend>
      <For each={actionsFor(props.targets)}>
        {(action) => {
          const why = () => hindrance(action, props.targets);
          return (
            <button
              type="button"
              class="button"
              classList={{ "grave-soft": !!action.grave }}
              disabled={!!why()}
              title={why() || action.title}
              aria-keyshortcuts={own(action.key) ? ariaKey(action.key) : undefined}
              onClick={() => begin(action, props.targets)}
            >
              {action.title}
              <Show when={own(action.key)}>
                <span class="kbd" aria-hidden="true">
                  {shownKey(action.key)}
                </span>
              </Show>
            </button>
          );
        }}
      </For>
      <For each={openingsFor(props.targets)}>
        {(opening) => {
          const why = () => hindranceOf(opening, props.targets);
          return (
            <button
              type="button"
              class="button"
              disabled={!!why()}
              title={why() || opening.title}
              aria-keyshortcuts={own(opening.key) ? ariaKey(opening.key) : undefined}
              onClick={() => follow(opening, props.targets, navigate)}
            >
              {opening.title}
              <Show when={own(opening.key)}>
                <span class="kbd" aria-hidden="true">
                  {shownKey(opening.key)}
                </span>
              </Show>
            </button>
          );
        }}
      </For>
    </fieldset>
  );
}
