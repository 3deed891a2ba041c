import { Show } from "solid-js";
import { percent } from "../words/format";

interface Props {
  /** What it is a share of. */
  whole: number;
  used: number | undefined;
  reserved?: number;
  /** More is used than there is to be: its figures are in the tone of a warning too. */
  over?: boolean;
  /** Beside it, and the least room that is kept for it, px. */
  text?: string;
  room?: number;
  label: string;
  /** In place of the shares, for who cannot see the bar. */
  told?: string;
}

/** From here on the whole is as good as used. */
const FULL = 0.92;

/** How much is used; a tick stands where what is set aside ends. */
export function Meter(props: Props) {
  const share = (part: number) => (props.whole > 0 ? Math.min(1, Math.max(0, part / props.whole)) : 0);
  const told = () => {
    if (props.told !== undefined) return props.told;
    const reserved = `${percent(props.reserved ?? 0, props.whole)} reserved`;
    return props.used === undefined ? reserved : `${percent(props.used, props.whole)} used, ${reserved}`;
  };
  return (
    <span
      class="meter"
      classList={{ over: props.over ?? false }}
      role="img"
      aria-label={`${props.label}: ${told()}`}
      title={told()}
      style={{ "--room": `${props.room ?? 64}px` }}
    >
      <span class="meter-track">
        <Show when={props.used !== undefined}>
          <span
            class="meter-fill"
            classList={{ full: share(props.used ?? 0) > FULL }}
            style={{ width: `${100 * share(props.used ?? 0)}%` }}
          />
        </Show>
        <Show when={props.reserved}>
          <span class="meter-tick" style={{ left: `${100 * share(props.reserved ?? 0)}%` }} />
        </Show>
      </span>
      <Show when={props.text}>
        <span class="meter-text">{props.text}</span>
      </Show>
    </span>
  );
}
