/** Orders by the right button: what can be done with what is selected, or with what was pointed at. */

import { useNavigate } from "@solidjs/router";
import { For, onCleanup, onMount, Show } from "solid-js";
import { actionsFor, begin, follow, hindrance, hindranceOf, openingsFor, type Target } from "../actions";
import { plural, visible } from "../words/format";
import type { Point } from "./model/geometry";

interface Props {
  at: Point;
  /** One group for each kind of thing. */
  groups: readonly { title: string; targets: readonly Target[] }[];
  close(): void;
}

export function Orders(props: Props) {
  const navigate = useNavigate();
  let menu: HTMLDivElement | undefined;
  const before = document.activeElement;
  const outside = (event: Event) => {
    if (!(event.target instanceof Node && menu?.contains(event.target))) props.close();
  };
  onMount(() => {
    addEventListener("pointerdown", outside, true);
    const box = menu?.parentElement?.getBoundingClientRect();
    if (menu && box) {
      // Within the map, whatever the place.
      menu.style.left = `${Math.max(8, Math.min(props.at.x, box.width - menu.offsetWidth - 8))}px`;
      menu.style.top = `${Math.max(8, Math.min(props.at.y, box.height - menu.offsetHeight - 8))}px`;
    }
    buttons()[0]?.focus();
  });
  onCleanup(() => {
    removeEventListener("pointerdown", outside, true);
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  });
  const buttons = () => [...(menu?.querySelectorAll<HTMLButtonElement>("button:not(:disabled)") ?? [])];
  const key = (event: KeyboardEvent) => {
    const all = buttons();
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    if (event.key === "Escape" || event.key === "Tab") props.close();
    else if (event.key === "ArrowDown") all[(at + 1) % all.length]?.focus();
    else if (event.key === "ArrowUp") all[(at - 1 + all.length) % all.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div ref={menu} class="map-orders card" role="menu" aria-label="Orders" onKeyDown={key}>
      <For each={props.groups}>
        {(group) => (
          <>
            <p class="map-orders-title ellipsis">
              {visible(group.title)}
              <Show when={group.targets.length > 1}>
                {" "}
                ({plural(group.targets.length, group.targets[0]?.kind ?? "")})
              </Show>
            </p>
            <For each={actionsFor(group.targets)}>
              {(action) => (
                <button
                  type="button"
                  role="menuitem"
                  disabled={!!hindrance(action, group.targets)}
                  title={hindrance(action, group.targets)}
                  onClick={() => {
                    props.close();
                    begin(action, group.targets);
                  }}
                >
                  {action.title}…
                </button>
              )}
            </For>
            <For each={openingsFor(group.targets)}>
              {(opening) => {
                const why = () => hindranceOf(opening, group.targets);
                return (
                  <button
                    type="button"
                    role="menuitem"
                    disabled={!!why()}
                    title={why()}
                    onClick={() => {
                      props.close();
                      follow(opening, group.targets, navigate);
                    }}
                  >
                    {opening.title}
                  </button>
                );
              }}
            </For>
          </>
        )}
      </For>
    </div>
  );
}
