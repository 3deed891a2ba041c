/** Lines over time by uPlot, which is loaded when the first chart is shown; marks stand where something was deployed, or began. */
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import type uPlot from "uplot";
import { retried } from "../parts/retried";
import { theme } from "../parts/theme";
import { Marks, type Placed } from "./Marks";
import { type Mark, marksIn, markTextY } from "./marks";
import { axisOf, type Lines, lone } from "./series";

interface Props {
  label: string;
  lines: Lines;
  form(value: number): string;
  marks?: readonly Mark[];
  /** The most there can be: a line across. */
  ceiling?: number;
  ceilingName?: string;
  height?: number;
  /** Said where the lines would be, if there are none. */
  empty?: string;
}

/** A text of marks is pressed too: WCAG 2.5.8, CSS px. */
const LEAST_MARK = 24;

/** One after the other; all have 3:1 against both grounds. */
const COLOURS = ["--accent", "--unknown", "--wait", "--good", "--busy"];

export function Chart(props: Props) {
  let place: HTMLDivElement | undefined;
  let probe: HTMLSpanElement | undefined;
  let plot: uPlot | undefined;
  const [made, setMade] = createSignal<typeof uPlot>();
  const [failed, setFailed] = createSignal(false);
  const [looks, setLooks] = createSignal(0);
  const [placed, setPlaced] = createSignal<readonly Placed[]>([], { equals: alike });

  onMount(() => {
    retried(() => Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")])).then(
      ([found]) => setMade(() => found.default),
      () => setFailed(true),
    );
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const change = () => setLooks((now) => now + 1);
    dark.addEventListener("change", change);
    const watch = new ResizeObserver(() => {
      if (plot && place && place.clientWidth > 0)
        plot.setSize({ width: place.clientWidth, height: props.height ?? 140 });
    });
    if (place) watch.observe(place);
    onCleanup(() => {
      dark.removeEventListener("change", change);
      watch.disconnect();
      plot?.destroy();
    });
  });

  /** Canvas knows nothing of variables. */
  const colour = (name: string): string => {
    if (!probe) return "#888";
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };

  const data = (): uPlot.AlignedData =>
    [[...props.lines.times], ...props.lines.lines.map((line) => [...line.values])] as uPlot.AlignedData;

  const shape = createMemo(() => props.lines.lines.map((line) => line.name).join("\n"));
  /** Without times there is no axis of them, and one of values alone would say that there was nothing in use. */
  const drawable = createMemo(() => props.lines.times.length > 0);
  // Another set of lines or another look is another plot; new values are not.
  createEffect(() => {
    const Plot = made();
    shape();
    theme();
    looks();
    plot?.destroy();
    plot = undefined;
    setPlaced([]);
    if (!Plot || !place || !drawable()) return;
    const font = `11px ${getComputedStyle(document.documentElement).fontFamily}`;
    const [line, faint, bad] = [colour("--line"), colour("--text-faint"), colour("--off")];
    const [deployed, ground] = [colour("--text-soft"), colour("--surface")];
    const axis = { stroke: faint, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
    const alone = props.lines.lines.length === 1;
    const { steps, least } = axisOf(props.form);
    plot = new Plot(
      {
        width: Math.max(100, place.clientWidth),
        height: props.height ?? 140,
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
        padding: [8, 18, 0, 0],
        scales: { y: { range: (_, __, most) => [0, Math.max(props.ceiling ?? 0, (most ?? 0) * 1.08, least) || 1] } },
        axes: [
          { ...axis, size: 28, space: 70, values: (_, ticks) => ticks.map((tick) => timeText(tick)) },
          {
            ...axis,
            size: 62,
            space: 28,
            values: (_, ticks) => ticks.map((value) => props.form(value)),
            ...(steps ? { incrs: [...steps] } : {}),
          },
        ],
        series: [
          {},
          ...props.lines.lines.map((one, index) => {
            const stroke = colour(COLOURS[index % COLOURS.length] ?? "--accent");
            return {
              label: one.name,
              stroke,
              width: 1.5,
              points: {
                size: 5,
                width: 0,
                fill: stroke,
                filter: (drawn: uPlot, series: number) => lone([...(drawn.data[series] ?? [])]),
              },
              ...(alone ? { fill: stroke.replace("rgb(", "rgba(").replace(")", ", 0.12)") } : {}),
            };
          }),
        ],
        hooks: {
          draw: [
            (drawn) => {
              const { ctx, bbox } = drawn;
              ctx.save();
              ctx.font = `${11 * devicePixelRatio}px ${font.slice(5)}`;
              const y = props.ceiling ? drawn.valToPos(props.ceiling, "y", true) : undefined;
              if (y !== undefined) {
                ctx.strokeStyle = bad;
                ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
                stroke(ctx, bbox.left, y, bbox.left + bbox.width, y);
              }
              const { min, max } = drawn.scales.x ?? {};
              const found: Placed[] = [];
              if (min != null && max != null) {
                ctx.strokeStyle = deployed;
                ctx.fillStyle = deployed;
                ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
                const gap = 3 * devicePixelRatio;
                const wide = (text: string) => Math.max(LEAST_MARK * devicePixelRatio, ctx.measureText(text).width);
                for (const mark of marksIn(props.marks ?? [], min * 1000, max * 1000, bbox.width, wide, gap)) {
                  for (const at of mark.xs) {
                    const x = Math.round(bbox.left + at);
                    stroke(ctx, x, bbox.top, x, bbox.top + bbox.height);
                  }
                  // uPlot leaves its own alignment behind.
                  ctx.textAlign = mark.before ? "right" : "left";
                  ctx.textBaseline = "middle";
                  const textY = markTextY(bbox.top, y, devicePixelRatio);
                  // It is read over whatever lines and points are there.
                  ctx.save();
                  ctx.setLineDash([]);
                  ctx.lineJoin = "round";
                  ctx.lineWidth = 4 * devicePixelRatio;
                  ctx.strokeStyle = ground;
                  ctx.strokeText(mark.text, bbox.left + mark.x, textY);
                  ctx.restore();
                  ctx.fillText(mark.text, bbox.left + mark.x, textY);
                  const width = wide(mark.text);
                  found.push({
                    marks: mark.marks,
                    text: mark.text,
                    left: (bbox.left + mark.x - (mark.before ? width : 0)) / devicePixelRatio,
                    top: textY / devicePixelRatio - LEAST_MARK / 2,
                    width: width / devicePixelRatio,
                  });
                }
              }
              ctx.restore();
              setPlaced(found);
            },
          ],
          setCursor: [(drawn) => setAt(drawn.cursor.idx ?? undefined)],
        },
      },
      data(),
      place,
    );
  });
  createEffect(() => {
    const next = data();
    if (plot && next.length === plot.series.length) plot.setData(next);
  });

  // What is marked comes by another answer than the lines, and may come later.
  createEffect(on([() => props.marks, () => props.ceiling], () => plot?.redraw(false), { defer: true }));

  const [at, setAt] = createSignal<number>();
  const told = () => {
    const index = at();
    const time = index === undefined ? undefined : props.lines.times[index];
    if (index === undefined || time === undefined) return "";
    const values = props.lines.lines.map((line) => {
      const value = line.values[index];
      const text = value === null || value === undefined ? "nothing known" : props.form(value);
      return props.lines.lines.length === 1 ? text : `${line.name} ${text}`;
    });
    return `${timeText(time, true)} · ${values.join(", ")}`;
  };
  const summary = () => {
    const count = props.lines.times.length;
    if (!count) return `${props.label}: nothing is known yet`;
    const last = props.lines.lines
      .map((line) => line.values.findLast((one) => one !== null))
      .filter((one) => one != null);
    return `${props.label} over time; the newest is ${last.map((one) => props.form(one)).join(", ") || "not known"}`;
  };
  return (
    <figure class="chart">
      <figcaption>
        <strong>{props.label}</strong>
        <span class="faint tabular">{told()}</span>
      </figcaption>
      <span ref={probe} hidden />
      <div
        ref={place}
        class="chart-place"
        role="img"
        aria-label={summary()}
        style={{ height: `${props.height ?? 140}px` }}
      />
      <Marks chart={props.label} placed={placed()} width={place?.clientWidth ?? 0} />
      <Show when={!drawable() && props.empty}>
        <p class="soft chart-empty">{props.empty}</p>
      </Show>
      <Show when={failed()}>
        <p class="soft">The chart could not be loaded.</p>
      </Show>
    </figure>
  );
}

function alike(one: readonly Placed[], other: readonly Placed[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function stroke(ctx: CanvasRenderingContext2D, x: number, y: number, toX: number, toY: number): void {
  ctx.beginPath();
  ctx.moveTo(x, y);
  ctx.lineTo(toX, toY);
  ctx.stroke();
}

function timeText(seconds: number, whole = false): string {
  const at = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (whole) return `${at.getDate()}.${at.getMonth() + 1}. ${clock}:${two(at.getSeconds())}`;
  if (at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0)
    return `${at.getDate()}.${at.getMonth() + 1}.`;
  return at.getSeconds() ? `${clock}:${two(at.getSeconds())}` : clock;
}
