/** From so near that one instance is nearly all that is seen: what it uses, live, without a click. */
import { A } from "@solidjs/router";
import { createMemo, lazy, Show, Suspense } from "solid-js";
import { instanceHref } from "../actions";
import type { Drawn } from "../charts/Charts";
import { coresUsed } from "../charts/series";
import { useGiven } from "../parts/context";
import { retried } from "../parts/retried";
import { State } from "../parts/State";
import { createSettled } from "../parts/settled";
import { bytes, visible } from "../words/format";
import { instanceState } from "../words/states";
import { besideUnit } from "./model/beside";
import { type Camera, type Screen, toScreen } from "./model/camera";
import type { City } from "./model/city";
import { lookedAt } from "./model/pick";

const Charts = lazy(() => retried(() => import("../charts/Charts")).then((made) => ({ default: made.Charts })));

/** Who passes by asks nothing of Nexus. */
const SETTLED_MS = 350;

export function chartsOf(instance: string): Drawn[] {
  const labels = { instance_id: instance };
  return [
    { title: "CPU", metric: "omnitide_instance_cpu_seconds_total", labels, ofOneNode: true, form: coresUsed },
    { title: "Memory", metric: "omnitide_instance_memory_working_set_bytes", labels, ofOneNode: true, form: bytes },
  ];
}

interface Props {
  city: City;
  camera: Camera;
  screen: Screen;
  /** Changes when the city is another. */
  tick: number;
}

export function Glance(props: Props) {
  const near = createMemo(() => {
    props.tick;
    return lookedAt(props.city, props.camera, props.screen) ?? "";
  });
  const shown = createSettled(near, SETTLED_MS);
  return (
    <Show when={shown()} keyed>
      {(id) => <Looked {...props} id={id} />}
    </Show>
  );
}

function Looked(props: Props & { id: string }) {
  const { fabric } = useGiven();
  const charts = chartsOf(props.id);
  const place = () => {
    props.tick;
    const spot = props.city.units.get(props.id)?.spot;
    if (!spot) return {};
    const { x, y } = besideUnit(
      toScreen(props.camera, props.screen, spot),
      spot.size * props.camera.zoom,
      props.screen,
    );
    return { "--glance-x": `${Math.round(x)}px`, "--glance-y": `${Math.round(y)}px` };
  };
  return (
    <Show when={fabric.get("instance", props.id)}>
      {(one) => (
        <aside class="map-glance card" aria-label="What is looked at" style={place()}>
          <h2>
            <A href={instanceHref(one().id)}>{visible(one().name)}</A>
          </h2>
          <p>
            <State state={instanceState(one())} />
          </p>
          <div class="map-charts">
            <Suspense>
              <Charts charts={charts} />
            </Suspense>
          </div>
        </aside>
      )}
    </Show>
  );
}
