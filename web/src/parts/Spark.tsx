import { createMemo, Show } from "solid-js";
import { KEPT_MS, type Load } from "../state/model";

const WIDTH = 120;
const HEIGHT = 22;

/** The last two minutes in a line, the newest at the right: from nothing to the whole, so that rows compare. */
export function Spark(props: { load: Load | undefined; whole: number }) {
  const line = createMemo(() => {
    const { at, cpu, atMs } = props.load ?? { at: [], cpu: [], atMs: 0 };
    const points = cpu.map((value, index) => {
      const x = (WIDTH * ((at[index] ?? atMs) - atMs + KEPT_MS)) / KEPT_MS;
      const y = HEIGHT - 1 - (HEIGHT - 2) * Math.min(1, props.whole > 0 ? value / props.whole : 0);
      return [x.toFixed(1), y.toFixed(2)] as const;
    });
    return {
      points: points.length,
      first: points[0]?.[0] ?? "0",
      path: `M${points.map((one) => one.join(" ")).join("L")}`,
    };
  });
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <Show when={line().points > 1}>
        <path class="under" d={`${line().path}L${WIDTH} ${HEIGHT}L${line().first} ${HEIGHT}Z`} />
        <path d={line().path} />
      </Show>
    </svg>
  );
}
