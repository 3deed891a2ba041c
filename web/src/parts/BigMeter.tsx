/** How much of something is used and how much is set aside: both in words, and both in the bar. */
import { Show } from "solid-js";
import { pastRevision, USE_OF_NOW } from "../past/when";
import { percent } from "../words/format";
import { Meter } from "./Meter";

interface Props {
  label: string;
  whole: number;
  used: number | undefined;
  /** Why it is not known how much is used, where that is not for want of time. */
  unknown?: string | undefined;
  reserved: number;
  /** Of the whole, what is on nodes that take nothing new. */
  closed?: number;
  form(value: number): string;
}

export function BigMeter(props: Props) {
  const part = (value: number) => `${props.form(value)} (${percent(value, props.whole)})`;
  return (
    <div class="big-meter">
      <div class="big-meter-words">
        <strong>{props.label}</strong>
        <span class="soft tabular">
          <Show
            when={props.used !== undefined}
            fallback={pastRevision() ? USE_OF_NOW : (props.unknown ?? "use not known yet")}
          >
            <b>{part(props.used ?? 0)}</b> used
          </Show>{" "}
          · {part(props.reserved)} reserved · {props.form(props.whole)}
          <Show when={props.closed}>, of which {props.form(props.closed ?? 0)} closed to what is new</Show>
        </span>
      </div>
      <Meter label={props.label} whole={props.whole} used={props.used} reserved={props.reserved} />
    </div>
  );
}
