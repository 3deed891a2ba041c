import { createMemo, Show } from "solid-js";
import { KEPT_MS, type Load } from "../state/model";

const WIDTH = 120;
const HEIGHT = 22;

/** Where so long nothing is known, there is no line. */
const GAP_MS = 15_000;

/**
 * The last two minutes in a line, the newest at the right: from nothing to the whole, so that rows compare; where there
 * is no whole, to the most there was.
 */
export function Spark(props: { load: Load | undefined; whole: number }) {
  const line = createMemo(() => {
    const { at, cpu, atMs } = props.load ?? { at: [], cpu: [], atMs: 0 };
    const whole = props.whole || Math.max(...cpu);
    let path = "";
    let under = "";
    let begun = "";
    let x = "";
    let beforeMs = Number.NEGATIVE_INFINITY;
    const close = () => {
      if (begun !== "") under += `L${x} ${HEIGHT}L${begun} ${HEIGHT}Z`;
    };
    cpu.forEach((value, index) => {
      const pointMs = at[index] ?? atMs;
      const apart = pointMs - beforeMs > GAP_MS;
      if (apart) close();
      x = ((WIDTH * (pointMs - atMs + KEPT_MS)) / KEPT_MS).toFixed(1);
      const y = (HEIGHT - 1 - (HEIGHT - 2) * Math.min(1, whole > 0 ? value / whole : 0)).toFixed(2);
      const point = `${apart ? "M" : "L"}${x} ${y}`;
      if (apart) begun = x;
      path += point;
      under += point;
      beforeMs = pointMs;
    });
    close();
    return { points: cpu.length, path, under };
  });
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <Show when={line().points > 1}>
        <path class="under" d={line().under} />
        <path d={line().path} />
      </Show>
    </svg>
  );
}
