import { A } from "@solidjs/router";
import { type Accessor, createMemo, For, Show } from "solid-js";
import { Copied } from "../actions/Copied";
import { useGiven } from "../parts/context";
import { Mark } from "../parts/State";
import { span, visible } from "../words/format";
import { isGrave, type Place } from "./concerning";
import { concernHref } from "./subjects";

/** What wants an eye, each with where to look. */
export function Concerns(props: { places: ReadonlyMap<string, Place> }) {
  // Keys are the same strings while the objects are others with each answer: what is drawn stays.
  const keys = () => [...props.places.keys()];
  return (
    <section class="card block wide" aria-labelledby="concerns">
      <h2 id="concerns">What needs you</h2>
      <ul class="list">
        <For each={keys()}>
          {(key) => {
            // One that is about to go is asked once more.
            const place = createMemo<Place | undefined>((before) => props.places.get(key) ?? before);
            return <Show when={place()}>{(now) => <Line place={now} />}</Show>;
          }}
        </For>
      </ul>
    </section>
  );
}

function Line(props: { place: Accessor<Place> }) {
  const { nowMs } = useGiven();
  const concern = () => props.place().concern;
  const over = () => props.place().over;
  const subject = () => visible(concern().subject);
  const hint = () => visible(concern().hint);
  return (
    <li>
      <Mark tone={over() ? "off" : isGrave(concern()) ? "bad" : "wait"} />
      <span class="list-words">
        <Show when={concernHref(concern().subject)} fallback={<strong>{subject()}</strong>}>
          {(to) => (
            <A href={to()}>
              <strong>{subject()}</strong>
            </A>
          )}
        </Show>{" "}
        <span class={over() ? "concern-over" : ""}>{visible(concern().text)}</span>
        <Show when={hint()}>
          <Show when={hint().startsWith("omnitide ")} fallback={<span class="concern-hint soft">{hint()}</span>}>
            <span class="concern-hint">
              <Copied text={concern().hint} label={`Copy ${concern().hint}`} />
            </span>
          </Show>
        </Show>
      </span>
      {/* It has its room whatever it says, so that the words beside it do not break anew each second. */}
      <span class="age">
        <Show when={over()} fallback={concern().since_ms ? span(nowMs() - concern().since_ms) : ""}>
          is over
        </Show>
      </span>
    </li>
  );
}
