/** The charts of an agent, an instance or a node: what it uses, over a time that is chosen. */
import { type Accessor, createMemo, createSignal, For, Show } from "solid-js";
import { request } from "../api/client";
import type { MetricAnswer } from "../api/types";
import { createAsked } from "../pages/asked";
import { useGiven } from "../parts/context";
import { pastRevision } from "../past/when";
import { clock } from "../words/format";
import { Chart } from "./Chart";
import type { Mark } from "./marks";
import { endOf, type Lines, linesOf, NOTHING, selector } from "./series";

export interface Drawn {
  title: string;
  metric: string;
  labels: Record<string, string>;
  /** Labels that make a line of their own; none: all are added up. */
  by?: string[];
  form(value: number): string;
  ceiling?: number;
  /** Its samples come together. */
  ofOneNode?: boolean;
}

const SPANS = [
  // A little less than what is kept by the second: nothing of it is by the minute, but for what was before Nexus began.
  { text: "15 min", ms: 890_000, everyMs: 2_000 },
  { text: "2 h", ms: 7_200_000, everyMs: 20_000 },
  { text: "24 h", ms: 86_400_000, everyMs: 60_000 },
  { text: "7 d", ms: 604_800_000, everyMs: 60_000 },
] as const;

export function Charts(props: { charts: readonly Drawn[]; marks?: readonly Mark[] }) {
  const [span, setSpan] = createSignal<(typeof SPANS)[number]>(SPANS[0]);
  // They are made of objects that change all the time, and seldom are others: a chart is drawn anew for them.
  const marks = createMemo(() => props.marks ?? [], undefined, { equals: alike });
  return (
    <section class="card block" aria-labelledby="charts-title">
      <div class="block-head">
        <h2 id="charts-title">Use</h2>
        <div class="choice small" role="radiogroup" aria-label="Over">
          <For each={SPANS}>
            {(one) => (
              <label>
                <input type="radio" name="span" checked={span() === one} onChange={() => setSpan(one)} />
                {one.text}
              </label>
            )}
          </For>
        </div>
      </div>
      <Show when={span()} keyed>
        {(now) => (
          <div class="charts">
            <For each={props.charts}>
              {(one) => <Asked drawn={one} spanMs={now.ms} everyMs={now.everyMs} marks={marks} />}
            </For>
          </div>
        )}
      </Show>
    </section>
  );
}

function alike(one: readonly Mark[], other: readonly Mark[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function Asked(props: { drawn: Drawn; spanMs: number; everyMs: number; marks: Accessor<readonly Mark[]> }) {
  const { fabric } = useGiven();
  const address = () => {
    const { metric, labels, by } = props.drawn;
    const asked = new URLSearchParams({ name: selector(metric, labels) });
    const thenMs = pastRevision() ? fabric.shownMs() : 0;
    asked.set("start_ms", String(thenMs - props.spanMs));
    const endMs = endOf(thenMs, !!props.drawn.ofOneNode);
    if (endMs) asked.set("end_ms", String(endMs));
    for (const label of by ?? ["-"]) asked.append("by", label);
    return `/v1/metrics/query?${asked}`;
  };
  const answer = createAsked(
    address,
    () => 0,
    props.everyMs,
    (path, signal) => request<MetricAnswer>("GET", path, undefined, signal),
    true,
  );
  const lines = createMemo((): Lines => {
    const found = answer.value();
    return found
      ? linesOf(found, (labels) => (props.drawn.by ?? []).map((one) => labels[one] ?? "").join(" "))
      : NOTHING;
  });
  /** Where that is not as the span would have it. */
  const coarseUntil = () => {
    const found = answer.value();
    const untilMs = found?.by_minute_until_ms ?? 0;
    return found && props.spanMs === SPANS[0].ms && found.items.length && untilMs > found.start_ms ? untilMs : 0;
  };
  return (
    <div>
      <Chart
        label={props.drawn.title}
        lines={lines()}
        form={props.drawn.form}
        marks={props.marks()}
        empty={answer.value() && !answer.failed() ? "Nothing was sampled in this time." : ""}
        {...(props.drawn.ceiling ? { ceiling: props.drawn.ceiling } : {})}
      />
      <Show when={coarseUntil()}>
        {(untilMs) => (
          <p class="soft chart-failed">Known by the minute until {clock(untilMs())}, by the second since.</p>
        )}
      </Show>
      <Show when={answer.failed()}>
        <p class="soft chart-failed">{answer.failed()}</p>
      </Show>
    </div>
  );
}
