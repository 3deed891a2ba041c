import { A } from "@solidjs/router";
import { type Accessor, createMemo, For, Show } from "solid-js";
import { Copied } from "../actions/Copied";
import { useGiven } from "../parts/context";
import { Mark } from "../parts/State";
import { span, visible } from "../words/format";
import { byKey, type Concern } from "./concerning";
import { concernHref } from "./subjects";

/** What wants an eye, each with where to look. */
export function Concerns(props: { concerns: readonly Concern[] }) {
  const all = createMemo(() => byKey(props.concerns));
  // Keys are the same strings while the objects are others with each answer: what is drawn stays.
  const keys = () => [...all().keys()];
  return (
    <section class="card block wide" aria-labelledby="concerns">
      <h2 id="concerns">What needs you</h2>
      <ul class="list">
        <For each={keys()}>
          {(key) => {
            // One that is about to go is asked once more.
            const concern = createMemo<Concern | undefined>((before) => all().get(key) ?? before);
            return <Show when={concern()}>{(now) => <Line concern={now} />}</Show>;
          }}
        </For>
      </ul>
    </section>
  );
}

function Line(props: { concern: Accessor<Concern> }) {
  const { nowMs } = useGiven();
  const subject = () => visible(props.concern().subject);
  const hint = () => visible(props.concern().hint);
  return (
    <li>
      <Mark tone="wait" />
      <span class="list-words">
        <Show when={concernHref(props.concern().subject)} fallback={<strong>{subject()}</strong>}>
          {(to) => (
            <A href={to()}>
              <strong>{subject()}</strong>
            </A>
          )}
        </Show>{" "}
        <span>{visible(props.concern().text)}</span>
        <Show when={hint()}>
          <Show when={hint().startsWith("omnitide ")} fallback={<span class="concern-hint soft">{hint()}</span>}>
            <span class="concern-hint">
              <Copied text={props.concern().hint} label={`Copy ${props.concern().hint}`} />
            </span>
          </Show>
        </Show>
      </span>
      <Show when={props.concern().since_ms}>{(since) => <span class="age">{span(nowMs() - since())}</span>}</Show>
    </li>
  );
}
