/** What the pointer or the keyboard gets at the marks of a chart: each of those that have a text together, and when it was. */
import { createEffect, createMemo, createSignal, createUniqueId, For, onCleanup, Show } from "solid-js";
import { dateTime, visible } from "../words/format";
import type { Mark } from "./marks";

/** Marks that have a text together, and where that is on the chart, CSS px. */
export interface Placed {
  marks: readonly Mark[];
  text: string;
  left: number;
  top: number;
  width: number;
}

/** How far an arrow up or down goes in what is told of very many, px. */
const STEP_PX = 48;

function keyOf({ marks }: Placed): string {
  return marks.map(({ atMs, text }) => `${atMs} ${text}`).join("\n");
}

export function Marks(props: { chart: string; placed: readonly Placed[]; width: number }) {
  // The chart moves on all the time: what is pointed at or has the focus stays the same element.
  const byKey = createMemo(() => new Map(props.placed.map((one) => [keyOf(one), one])));
  const keys = createMemo(() => [...byKey().keys()]);
  const [told, setTold] = createSignal("");
  const [stop, setStop] = createSignal("");
  /** All of them are one stop of the Tab key. */
  const stopped = () => (byKey().has(stop()) ? stop() : keys().at(-1));
  const id = createUniqueId();
  let list: HTMLSpanElement | undefined;
  let group: HTMLDivElement | undefined;
  const letGo = (event: KeyboardEvent) => {
    if (event.key === "Escape") setTold("");
  };
  createEffect(() => {
    if (!told()) return;
    addEventListener("keydown", letGo, { capture: true });
    onCleanup(() => removeEventListener("keydown", letGo, { capture: true }));
  });
  const press = (event: KeyboardEvent, key: string) => {
    const at = keys().indexOf(key);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: keys().length - 1 }[event.key];
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      if (told() !== key || !list || list.scrollHeight <= list.clientHeight) return;
      list.scrollBy(0, event.key === "ArrowUp" ? -STEP_PX : STEP_PX);
    } else if (to !== undefined) group?.querySelectorAll("button")[to]?.focus();
    else return;
    event.preventDefault();
  };
  return (
    <Show when={keys().length}>
      <div ref={group} class="chart-marks" role="group" aria-label={`Marks of ${props.chart}`}>
        <For each={keys()}>
          {(key) => {
            // Until the element is gone it is where it was last.
            const placed = createMemo((last: Placed | undefined) => byKey().get(key) ?? last);
            const onRight = () => (placed()?.left ?? 0) > props.width / 2;
            const room = () => {
              const { left, width } = placed() ?? { left: 0, width: 0 };
              return onRight() ? left + width : props.width - left;
            };
            onCleanup(() => told() === key && setTold(""));
            return (
              <div
                class="chart-mark"
                style={{
                  left: `${placed()?.left}px`,
                  top: `${placed()?.top}px`,
                  width: `${placed()?.width}px`,
                }}
                onPointerEnter={() => setTold(key)}
                onPointerLeave={() => setTold("")}
              >
                <button
                  type="button"
                  aria-label={visible(placed()?.text ?? "")}
                  aria-describedby={told() === key ? id : undefined}
                  tabindex={stopped() === key ? 0 : -1}
                  onFocus={() => {
                    setStop(key);
                    setTold(key);
                  }}
                  onBlur={() => setTold("")}
                  onClick={() => setTold(key)}
                  onKeyDown={(event) => press(event, key)}
                />
                <Show when={told() === key}>
                  <span
                    ref={list}
                    id={id}
                    role="tooltip"
                    class="chart-told"
                    classList={{ "on-right": onRight() }}
                    style={{ "max-width": `${room()}px` }}
                  >
                    <For each={placed()?.marks}>
                      {(mark) => (
                        <span>
                          <strong>{visible(mark.text)}</strong> <span class="tabular soft">{dateTime(mark.atMs)}</span>
                        </span>
                      )}
                    </For>
                  </span>
                </Show>
              </div>
            );
          }}
        </For>
      </div>
    </Show>
  );
}
