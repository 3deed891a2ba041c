/** The map: the city of the fabric, the picture of it, and all that is around the picture. */
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, Show, untrack } from "solid-js";
import { useGiven } from "../parts/context";
import { moves } from "../parts/motion";
import { theme } from "../parts/theme";
import { useTitle } from "../parts/title";
import { pastRevision } from "../past/when";
import { visible } from "../words/format";
import { createFailing } from "./asking";
import { Card } from "./Card";
import { Controls } from "./controls";
import { createDrawing } from "./drawing";
import { Foot, Opening } from "./Foot";
import { Glance } from "./Glance";
import { type Before, createGrowing } from "./growing";
import { Head } from "./Head";
import { Minimap } from "./Minimap";
import { type Camera, type Cover, NARROW_PX, type Screen, toScreen, UNCOVERED } from "./model/camera";
import type { Changes } from "./model/city";
import { type Entry, legend, type Question } from "./model/colours";
import { isEmpty, NOTHING } from "./model/groups";
import { structureOf } from "./model/layout";
import type { Refusals } from "./model/refusals";
import { summaryOf, tipOf } from "./model/telling";
import { Notes } from "./Notes";
import { Orders } from "./Orders";
import { createReacting } from "./reacting";
import type { Look } from "./scene/look";
import type { Scene } from "./scene/scene";
import { createSelecting } from "./selecting";
import { createSteering } from "./steering";
import { Tip } from "./Tip";
import { Tools } from "./Tools";

const ZOOM_STEP = 1.5;
/** Words and counts around the picture follow no quicker. */
const CALM_MS = 250;
/** The small map follows each so many times of that. */
const SLOW = 4;
/** What the card takes of the map: see map.css. */
const CARD_PX = 356;
const SHEET_SHARE = 0.34;
const SHEET_LEAST_PX = 150;

export default function MapPage() {
  const { fabric, caller, nowMs } = useGiven();
  useTitle(() => "Map");
  let host: HTMLDivElement | undefined;
  let labels: HTMLCanvasElement | undefined;

  const [camera, setCamera] = createSignal<Camera>({ x: 0, y: 0, zoom: 1 });
  const [screen, setScreen] = createSignal<Screen>({ width: 1, height: 1 });
  const [question, setQuestion] = createSignal<Question>("health");
  const [label, setLabel] = createSignal("");
  const [refusals, setRefusals] = createSignal<Refusals>();
  const { failing, trouble } = createFailing(question, fabric);
  const [tick, setTick] = createSignal(0);
  const [calm, setCalm] = createSignal(0);
  const [slow, setSlow] = createSignal(0);
  let slowTimer: ReturnType<typeof setTimeout> | undefined;
  createEffect(
    on(calm, (now) => {
      if (now === 1) setSlow(1);
      else if (now) {
        // The last change is seen too, however quiet it is after it.
        slowTimer ??= setTimeout(() => {
          slowTimer = undefined;
          setSlow((before) => before + 1);
        }, SLOW * CALM_MS);
      }
    }),
  );
  onCleanup(() => clearTimeout(slowTimer));
  /** What labels and versions there are may be another. */
  const [reshaped, setReshaped] = createSignal(0);
  const [said, setSaid] = createSignal("");
  /** The city is there: until then nothing can be counted in it. */
  const [founded, setFounded] = createSignal(false);
  const known = () => founded() && fabric.filled();

  // Nodes change all the time, and what labels and versions they have seldom does.
  const structure = createMemo(() => {
    reshaped();
    fabric.filled();
    return untrack(() => structureOf(fabric.all("node").values()));
  });
  const usual = createMemo(() => structure().usual);
  const by = () => label() || usual();
  const labelNames = createMemo(() => structure().labels, undefined, { equals: alike });
  const versions = createMemo(() => structure().versions, undefined, { equals: alike });
  const measure = () => {
    const { width, height } = host?.getBoundingClientRect() ?? { width: 0, height: 0 };
    if (width < 1 || height < 1) return;
    setScreen({ width, height });
    scene()?.resize({ width, height });
  };
  const watch = new ResizeObserver(measure);
  const drawing = createDrawing({
    look: () => look(),
    opened: (made) => {
      made.onCamera = (now) => setCamera(now);
      measure();
      // Nexus alone, as long as nothing is known.
      if (!placed) made.look(steering.first(), false);
      if (host) watch.observe(host);
    },
  });
  const { scene, palette, failed } = drawing;
  const phone = matchMedia(`(max-width: ${NARROW_PX}px)`);
  const [upright, setUpright] = createSignal(phone.matches);
  const turned = () => setUpright(phone.matches);
  phone.addEventListener("change", turned);
  onCleanup(() => phone.removeEventListener("change", turned));
  let placed = false;
  const city = createGrowing({
    fabric,
    scene,
    by,
    narrow: upright,
    anew: () => {
      placed = false;
    },
    untouched: () => (placed ? steering.untouched() : undefined),
    show: (made, changes, before) => show(made, changes, before),
    fail: drawing.fail,
  });
  const selecting = createSelecting({
    fabric,
    fabricId: caller().fabric_id,
    city,
    say: setSaid,
  });
  const { selection, select, keepStill } = selecting;
  const narrow = matchMedia("(max-width: 860px)");
  const cover = (): Cover => {
    if (isEmpty(selection())) return UNCOVERED;
    const { height } = screen();
    if (!narrow.matches) return { right: CARD_PX, bottom: 0 };
    return { right: 0, bottom: Math.max(SHEET_LEAST_PX, Math.round(height * SHEET_SHARE)) };
  };
  const steering = createSteering({ scene, city, screen, cover, selection, cursor: () => cursor() });
  const { reactions, cursor, setCursor, hover, hoverAt, ...reacting } = createReacting({
    scene,
    city,
    selecting,
    steering,
    say: setSaid,
  });
  const hovered = () => {
    const found = hover();
    return found?.kind === "node" ? found.id : "";
  };
  const look = (): Look => ({
    city: city(),
    known: fabric.filled(),
    question: question(),
    versions: versions(),
    use: (id) => fabric.load(id),
    selection: selection(),
    cursor: cursor(),
    hover: hovered(),
    refusals: refusals(),
    failing: failing(),
    cover: cover(),
    stale: fabric.stale(),
    past: pastRevision() > 0,
    nowMs: nowMs(),
  });

  // -- the picture --
  onMount(() => {
    const [at, named] = [host, labels];
    if (!at || !named) return;
    drawing.begin(at, named);
    const controls = new Controls(at, reactions);
    onCleanup(() => {
      controls.end();
      watch.disconnect();
    });
  });
  const night = matchMedia("(prefers-color-scheme: dark)");
  night.addEventListener("change", drawing.redress);
  onCleanup(() => night.removeEventListener("change", drawing.redress));
  createEffect(on(theme, drawing.redress, { defer: true }));

  // -- the city --
  const show = (made: Scene, changes: Changes, before: Before) => {
    setFounded(true);
    made.take(look(), changes, moves() && !pastRevision() && fabric.status().kind === "live");
    if (!placed && screen().width > 1) {
      placed = true;
      made.look(steering.first(), false);
    } else if (before.sees) {
      // Who sees all of it sees those too who join where nothing stood.
      if (steering.untouched() !== before.sees) steering.go(steering[before.sees]());
    } else if (changes.layout) steering.stay(before.layout);
    if (changes.layout || changes.units.size) reacting.look();
    if (changes.kinds) setReshaped((now) => now + 1);
    if (changes.nodes.size || changes.units.size) setTick((now) => now + 1);
    keepStill();
    if (cursor() && !city().buildings.has(cursor())) setCursor("");
  };
  createEffect(on(screen, (_, before) => before && steering.refit(before), { defer: true }));
  createEffect(
    on(fabric.loadTick, () => scene()?.ponder(look(), { lights: true, all: question() === "load" }), {
      defer: true,
    }),
  );
  createEffect(on([question, failing, versions], () => scene()?.ponder(look(), { all: true }), { defer: true }));
  createEffect(on([selection, cursor, hover], () => scene()?.ponder(look(), { marks: true }), { defer: true }));
  createEffect(on(refusals, () => scene()?.ponder(look(), { all: true }), { defer: true }));
  createEffect(
    on(nowMs, () => {
      // Since when a node is dark is the only thing that changes by itself.
      if ([...city().buildings.values()].some((building) => building.dark)) scene()?.ponder(look(), {});
    }),
  );
  createEffect(() => {
    if (!moves()) scene()?.still();
  });
  let calmTimer: ReturnType<typeof setTimeout> | undefined;
  createEffect(
    on([tick, fabric.loadTick, question], () => {
      // What is counted is of the time that the picture is of.
      if (pastRevision()) setCalm((now) => now + 1);
      calmTimer ??= setTimeout(() => {
        calmTimer = undefined;
        setCalm((now) => now + 1);
      }, CALM_MS);
    }),
  );
  onCleanup(() => clearTimeout(calmTimer));

  // -- around it --
  const entries = createMemo((): Entry[] => {
    founded();
    calm();
    return legend(question(), city(), versions(), failing());
  });
  const summary = createMemo(() => {
    founded();
    calm();
    return summaryOf(city());
  });
  const cursorAt = createMemo(() => {
    const building = city().buildings.get(cursor());
    tick();
    if (!building) return undefined;
    const { roof } = building;
    const at = toScreen(camera(), screen(), { x: roof.x + roof.width / 2, y: roof.y + 8 });
    return `${Math.round(at.x)},${Math.round(at.y)}`;
  });
  const tip = createMemo(() => {
    tick();
    return tipOf(city(), hover(), refusals());
  });
  return (
    <div class="map-page">
      <Head
        labels={labelNames()}
        by={by()}
        question={question()}
        setBy={setLabel}
        ask={setQuestion}
        find={(sought) => {
          reacting.find(sought);
          // Keys are for what was found now, and no text any more.
          host?.focus({ preventScroll: true });
        }}
      />
      <div class="map-ground" classList={{ "with-card": !isEmpty(selection()) }}>
        <div
          ref={host}
          class="map-host"
          classList={{ moving: reacting.moving(), blank: drawing.blank() }}
          role="application"
          aria-label="Map of the fabric"
          aria-describedby="map-summary map-keys"
          tabindex="0"
          data-cursor={city().buildings.get(cursor())?.node.name}
          data-cursor-at={cursorAt()}
          data-zoom={camera().zoom.toFixed(3)}
          data-still={moves() ? undefined : ""}
        >
          <canvas ref={labels} class="map-labels-canvas" />
        </div>
        <Tip told={tip()} at={hoverAt()} />
        <Notes failed={failed()} again={drawing.again} empty={fabric.filled() && !fabric.all("node").size} />
        <p id="map-summary" class="visually-hidden">
          <Show when={known()} fallback={<Opening failed={Boolean(failed())} />}>
            {`${summary()}.`}
          </Show>
        </p>
        <p id="map-keys" class="visually-hidden">
          Arrows go from node to node, page keys from district to district, Enter selects and then goes near, Escape
          lets go, Ctrl and a digit saves a group. The same is in the lists of nodes, agents and instances.
        </p>
        <p class="visually-hidden" aria-live="polite">
          {visible(said())}
        </p>
        <Tools
          moving={reacting.moving()}
          nearer={() => steering.zoomBy(ZOOM_STEP)}
          farther={() => steering.zoomBy(1 / ZOOM_STEP)}
          all={reactions.all}
          move={reacting.setMoving}
        />
        <Foot known={known()} failed={Boolean(failed())} entries={entries()} trouble={trouble()} />
        <Minimap
          look={untrack(look)}
          question={question()}
          failing={failing()}
          palette={palette()}
          camera={camera()}
          screen={screen()}
          tick={slow()}
          go={steering.centre}
        />
        <Show when={!isEmpty(selection())}>
          <Card
            selection={selection()}
            city={city()}
            tick={calm()}
            close={() => select(NOTHING)}
            select={(chosen) => reacting.choose(chosen)}
            refuse={(found) => setRefusals(found)}
          />
        </Show>
        <Show when={isEmpty(selection())}>
          <Glance city={city()} camera={camera()} screen={screen()} tick={calm()} />
        </Show>
        <Show when={reacting.orders()}>
          {(now) => <Orders at={now().at} groups={now().groups} close={reacting.endOrders} />}
        </Show>
      </div>
    </div>
  );
}

function alike(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, at) => name === other[at]);
}
