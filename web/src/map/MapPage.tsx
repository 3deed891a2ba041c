/** The map: the city of the fabric, the picture of it, and all that is around the picture. */
import { A } from "@solidjs/router";
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, Show, untrack } from "solid-js";
import { useGiven } from "../parts/context";
import { moves } from "../parts/motion";
import { theme } from "../parts/theme";
import { useTitle } from "../parts/title";
import { Waiting } from "../parts/Waiting";
import { pastRevision } from "../past/when";
import { visible } from "../words/format";
import { createFailing } from "./asking";
import { Card } from "./Card";
import { Controls } from "./controls";
import { Head } from "./Head";
import { Legend } from "./Legend";
import { Minimap } from "./Minimap";
import "./map.css";
import {
  type Camera,
  type Cover,
  centred,
  fitted,
  free,
  pan,
  type Screen,
  showing,
  toScreen,
  UNCOVERED,
  zoomAt,
} from "./model/camera";
import { advance, type City, emptyCity, type Sight } from "./model/city";
import { type Entry, legend, type Question } from "./model/colours";
import { between, buildingOf, centre, holds, type Point } from "./model/geometry";
import { isEmpty, NOTHING, type Selection } from "./model/groups";
import { structureOf } from "./model/layout";
import { boxOf, type Found, inBox, neighbour, nextDistrict, pick } from "./model/pick";
import type { Refusals } from "./model/refusals";
import { summaryOf, tellNode, tipOf } from "./model/telling";
import { Notes } from "./Notes";
import { Orders } from "./Orders";
import type { Look } from "./scene/look";
import { type Palette, readPalette } from "./scene/palette";
import type { Scene } from "./scene/scene";
import { chosenBy, createSelecting, type OrderGroup } from "./selecting";
import { Tools } from "./Tools";

// Asked for at once, not only when the page is there: it is the largest part.
const drawing = import("./scene/scene");
drawing.catch(() => undefined);

const ZOOM_STEP = 1.5;
/** Words and counts around the picture follow no quicker. */
const CALM_MS = 250;
/** The small map follows each so many times of that. */
const SLOW = 4;
const NEAR_ZOOM = 4.2;
/** What the card takes of the map: see map.css. */
const CARD_PX = 356;
const SHEET_SHARE = 0.5;

export default function MapPage() {
  const { fabric, caller, nowMs } = useGiven();
  useTitle(() => "Map");
  let host: HTMLDivElement | undefined;
  let canvas: HTMLCanvasElement | undefined;
  let labels: HTMLCanvasElement | undefined;

  const [scene, setScene] = createSignal<Scene>();
  const [failed, setFailed] = createSignal("");
  const [palette, setPalette] = createSignal<Palette>();
  const [camera, setCamera] = createSignal<Camera>({ x: 0, y: 0, zoom: 1 });
  const [screen, setScreen] = createSignal<Screen>({ width: 1, height: 1 });
  const [question, setQuestion] = createSignal<Question>("health");
  const [label, setLabel] = createSignal("");
  const [refusals, setRefusals] = createSignal<Refusals>();
  const [cursor, setCursor] = createSignal("");
  const [hover, setHover] = createSignal<Found>();
  const [hoverAt, setHoverAt] = createSignal<Point>({ x: 0, y: 0 });
  const [orders, setOrders] = createSignal<{ at: Point; groups: OrderGroup[] }>();
  const [moving, setMoving] = createSignal(false);
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
  let city: City = emptyCity(usual());
  const { selection, select, keepStill, ...selecting } = createSelecting({
    fabric,
    fabricId: caller().fabric_id,
    city: () => city,
    say: setSaid,
    changing: () => setRefusals(undefined),
  });
  const narrow = matchMedia("(max-width: 860px)");
  const cover = (): Cover => {
    if (isEmpty(selection())) return UNCOVERED;
    const { height } = screen();
    return narrow.matches ? { right: 0, bottom: Math.round(height * SHEET_SHARE) } : { right: CARD_PX, bottom: 0 };
  };
  const hovered = () => {
    const found = hover();
    return found?.kind === "node" ? found.id : "";
  };
  const look = (): Look => ({
    city,
    question: question(),
    versions: versions(),
    use: (id) => fabric.load(id),
    selection: selection(),
    cursor: cursor(),
    hover: hovered(),
    refusals: refusals(),
    failing: failing(),
    cover: cover(),
    stale: fabric.status().kind === "broken",
    nowMs: nowMs(),
  });

  // -- the picture --
  const whole = () => fitted(city.layout.box, screen(), undefined, cover());
  let placed = false;
  onMount(() => {
    const [at, drawn, named] = [host, canvas, labels];
    if (!at || !drawn || !named) return;
    const colours = readPalette(at);
    setPalette(colours);
    let gone = false;
    const measure = () => {
      const { width, height } = at.getBoundingClientRect();
      if (width < 1 || height < 1) return;
      setScreen({ width, height });
      scene()?.resize({ width, height });
    };
    const watch = new ResizeObserver(measure);
    void (async () => {
      try {
        const { Scene } = await drawing;
        await document.fonts.load('600 12px "Inter Variable"').catch(() => []);
        if (gone) return;
        const made = await Scene.open(at, drawn, named, look(), colours);
        if (gone) return made.destroy();
        made.onCamera = (now) => setCamera(now);
        setScene(made);
        measure();
        watch.observe(at);
      } catch (error) {
        setFailed(error instanceof Error ? error.message : "the picture could not be made");
      }
    })();
    const controls = new Controls(at, reactions);
    onCleanup(() => {
      gone = true;
      controls.end();
      watch.disconnect();
      scene()?.destroy();
    });
  });
  const night = matchMedia("(prefers-color-scheme: dark)");
  const redress = () => {
    if (!host) return;
    const next = readPalette(host);
    setPalette(next);
    scene()?.dress(next);
  };
  night.addEventListener("change", redress);
  onCleanup(() => night.removeEventListener("change", redress));
  createEffect(on(theme, redress, { defer: true }));

  // -- the city --
  const follower = fabric.follow();
  onCleanup(() => follower.end());
  let last: Partial<Pick<Sight, "nodes" | "instances">> = {};
  createEffect(() => {
    const made = scene();
    const sight = {
      nodes: fabric.all("node"),
      instances: fabric.all("instance"),
      agents: fabric.all("agent"),
      jobs: fabric.all("job"),
      by: by(),
    };
    if (!made || !fabric.filled()) return;
    if (city.layout.by !== sight.by) {
      city = emptyCity(sight.by);
      placed = false;
      last = {};
    }
    const touched = follower.take();
    // Another snapshot, or another time that is looked at: its tables are others.
    const same = touched && last.nodes === sight.nodes && last.instances === sight.instances;
    last = sight;
    const changes = advance(city, sight, same ? touched : undefined);
    made.take(look(), changes, moves() && !pastRevision() && fabric.status().kind === "live");
    if (!placed && screen().width > 1) {
      placed = true;
      made.look(whole(), false);
    }
    if (changes.kinds) setReshaped((now) => now + 1);
    if (changes.nodes.size || changes.units.size) setTick((now) => now + 1);
    keepStill();
    if (cursor() && !city.buildings.has(cursor())) setCursor("");
  });
  createEffect(on(screen, () => placed && reveal(), { defer: true }));
  createEffect(
    on(fabric.loadTick, () => scene()?.ponder(look(), { lights: true, all: question() === "load" }), {
      defer: true,
    }),
  );
  createEffect(on([question, failing], () => scene()?.ponder(look(), { all: true }), { defer: true }));
  createEffect(on([selection, cursor, hover], () => scene()?.ponder(look(), { marks: true }), { defer: true }));
  createEffect(on(refusals, () => scene()?.ponder(look(), { all: true }), { defer: true }));
  createEffect(
    on(nowMs, () => {
      // Since when a node is dark is the only thing that changes by itself.
      if ([...city.buildings.values()].some((building) => building.dark)) scene()?.ponder(look(), {});
    }),
  );
  createEffect(() => {
    if (!moves()) scene()?.still();
  });
  let calmTimer: ReturnType<typeof setTimeout> | undefined;
  createEffect(
    on([tick, fabric.loadTick, question], () => {
      calmTimer ??= setTimeout(() => {
        calmTimer = undefined;
        setCalm((now) => now + 1);
      }, CALM_MS);
    }),
  );
  onCleanup(() => clearTimeout(calmTimer));

  const go = (to: Camera) => scene()?.look(to, moves());
  const zoomBy = (factor: number, at?: Point) => {
    const made = scene();
    if (!made) return;
    const place = free(screen(), cover());
    // Nearer to what is selected, if that is seen.
    const box = at ? undefined : boxOf(city, selection());
    const upon = box && toScreen(made.camera, screen(), centre(box));
    const within = upon && holds({ x: 0, y: 0, ...place }, upon);
    const middle = within ? upon : { x: place.width / 2, y: place.height / 2 };
    made.look(zoomAt(at ? made.shownCamera : made.camera, screen(), at ?? middle, factor), !at && moves());
  };
  const near = (id: string, zoom = NEAR_ZOOM) => {
    const building = city.buildings.get(id);
    if (building) go(centred(centre(buildingOf(building.lot, building.size)), zoom, cover()));
  };
  /** The card lies over the map, but not over what it is of. */
  const reveal = () => {
    const made = scene();
    if (!made) return;
    made.ask();
    const box = boxOf(city, selection());
    if (!box) return;
    const place = free(screen(), cover());
    const { zoom } = made.camera;
    const fits = box.width * zoom <= place.width && box.height * zoom <= place.height;
    const to = fits ? showing(made.camera, box, screen(), cover()) : fitted(box, screen(), zoom, cover());
    if (to !== made.camera) go(to);
  };
  const choose = (chosen: Selection, add = false) => {
    select(chosen, add);
    reveal();
  };
  /** Told to whoever hears the page, and kept in sight. */
  const stepTo = (id: string | undefined) => {
    const building = id === undefined ? undefined : city.buildings.get(id);
    const made = scene();
    if (!building || id === undefined || !made) return;
    setCursor(id);
    setSaid(tellNode(city, building));
    const middle = centre(buildingOf(building.lot, building.size));
    const at = toScreen(made.camera, screen(), middle);
    const margin = 60;
    const place = free(screen(), cover());
    const inside = at.x > margin && at.y > margin && at.x < place.width - margin && at.y < place.height - margin;
    if (!inside) go(centred(middle, made.camera.zoom, cover()));
  };
  const here = (at: Point): Found | undefined => {
    const made = scene();
    return made && pick(city, made.at(at), made.shownCamera.zoom);
  };
  const instancesNear = () => (scene()?.shownCamera.zoom ?? 0) >= 1.6;

  const reactions = {
    click: (at: Point, add: boolean) => {
      const found = here(at);
      // Where there is no pointer, this is how the whole of a name that was shortened is read.
      setHoverAt(at);
      setHover(found?.kind === "district" ? found : undefined);
      if (found?.kind === "node") setCursor(found.id);
      if (found?.kind === "nexus") choose({ nodes: new Set(), instances: new Set(city.yard.ids()) }, add);
      else if (!add || found?.kind === "node" || found?.kind === "instance") choose(chosenBy(found), add);
    },
    open: (at: Point) => {
      const found = here(at);
      if (found?.kind === "node") near(found.id);
      if (found?.kind === "district") {
        const district = city.layout.districts[found.index];
        if (district) go(fitted(district.box, screen(), NEAR_ZOOM, cover()));
      }
      if (found?.kind === "instance") {
        // As in the games that it is modelled on: all of the same kind.
        const workload = city.units.get(found.id)?.instance.workload_id ?? "";
        choose({ nodes: new Set(), instances: new Set(city.unitsOf.get(workload)) });
      }
    },
    order: (at: Point) => {
      const found = here(at);
      const chosen = chosenBy(found);
      const { nodes, instances } = selection();
      const held =
        [...chosen.nodes].some((id) => nodes.has(id)) || [...chosen.instances].some((id) => instances.has(id));
      if (!isEmpty(chosen) && !held) select(chosen);
      const told = selecting.orders();
      if (told.length) setOrders({ at, groups: told });
    },
    hover: (at: Point | undefined) => {
      const found = at && here(at);
      if (at) setHoverAt(at);
      setHover((now) => (sameFound(now, found) ? now : found));
    },
    marquee: (box: ReturnType<typeof between> | undefined) => {
      if (box) setHover(undefined);
      scene()?.marquee(box);
    },
    select: (box: ReturnType<typeof between>, add: boolean) => {
      const made = scene();
      if (!made) return;
      const from = made.at(box);
      const to = made.at({ x: box.x + box.width, y: box.y + box.height });
      choose(inBox(city, between(from, to), instancesNear()), add);
    },
    pan: (dx: number, dy: number) => {
      const made = scene();
      made?.look(pan(made.shownCamera, dx, dy, city.layout.box), false);
    },
    zoom: (at: Point | undefined, factor: number) => zoomBy(factor, at),
    step: (direction: Parameters<typeof neighbour>[2]) =>
      stepTo(cursor() ? neighbour(city, cursor(), direction) : nextDistrict(city, "", 1)),
    district: (forth: 1 | -1) => stepTo(nextDistrict(city, cursor(), forth)),
    enter: (add: boolean) => {
      if (!cursor()) return stepTo(nextDistrict(city, "", 1));
      if (selection().nodes.has(cursor()) && !add) near(cursor());
      else choose({ nodes: new Set([cursor()]), instances: new Set() }, add);
    },
    all: () => go(whole()),
    clear: () => {
      setOrders(undefined);
      select(NOTHING);
    },
    group: (key: string, save: boolean) => {
      if (save) return selecting.saveGroup(key);
      const first = selecting.recallGroup(key);
      if (first) stepTo(first);
      reveal();
    },
    moving,
  };

  // -- around it --
  const entries = createMemo((): Entry[] => {
    calm();
    return legend(question(), city, versions(), failing());
  });
  const summary = createMemo(() => {
    calm();
    return summaryOf(city);
  });
  const cursorAt = createMemo(() => {
    const building = city.buildings.get(cursor());
    tick();
    if (!building) return undefined;
    const { roof } = building;
    const at = toScreen(camera(), screen(), { x: roof.x + roof.width / 2, y: roof.y + 8 });
    return `${Math.round(at.x)},${Math.round(at.y)}`;
  });
  const tip = createMemo(() => {
    tick();
    return tipOf(city, hover(), refusals());
  });
  const find = (found: Found) => {
    select(chosenBy(found));
    const home =
      found.kind === "instance" ? (city.units.get(found.id)?.home ?? "") : found.kind === "node" ? found.id : "";
    if (!home) {
      const { yard } = city.layout;
      if (found.kind === "instance") go(fitted(yard, screen(), NEAR_ZOOM, cover()));
      return;
    }
    setCursor(home);
    near(home);
    reveal();
  };

  return (
    <div class="map-page">
      <Head labels={labelNames()} by={by()} question={question()} setBy={setLabel} ask={setQuestion} find={find} />
      <div class="map-ground" classList={{ "with-card": !isEmpty(selection()) }}>
        <div
          ref={host}
          class="map-host"
          classList={{ moving: moving() }}
          role="application"
          aria-label="Map of the fabric"
          aria-describedby="map-summary map-keys"
          tabindex="0"
          data-cursor={city.buildings.get(cursor())?.node.name}
          data-cursor-at={cursorAt()}
          data-zoom={camera().zoom.toFixed(3)}
          data-still={moves() ? undefined : ""}
        >
          <canvas ref={canvas} />
          <canvas ref={labels} class="map-labels-canvas" />
        </div>
        <Show when={tip()}>
          {(told) => (
            <div
              class="map-tip"
              aria-hidden="true"
              style={{ transform: `translate(${Math.round(hoverAt().x + 14)}px, ${Math.round(hoverAt().y + 16)}px)` }}
            >
              <strong>{visible(told().title)}</strong>
              <span>{visible(told().more)}</span>
            </div>
          )}
        </Show>
        <Notes failed={failed()} empty={fabric.filled() && !fabric.all("node").size} />
        <p id="map-summary" class="visually-hidden">
          <Show when={fabric.filled()} fallback={<Waiting />}>
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
          moving={moving()}
          nearer={() => zoomBy(ZOOM_STEP)}
          farther={() => zoomBy(1 / ZOOM_STEP)}
          all={() => go(whole())}
          move={setMoving}
        />
        <div class="map-foot">
          <Legend entries={entries()} />
          <Show when={trouble()}>
            <span class="faint">Nexus was not asked: {visible(trouble())}</span>
          </Show>
          <A class="map-list" href="/nodes">
            As a list
          </A>
        </div>
        <Minimap
          look={untrack(look)}
          question={question()}
          palette={palette()}
          camera={camera()}
          screen={screen()}
          tick={slow()}
          go={(to) => scene()?.look({ ...to, zoom: camera().zoom }, false)}
        />
        <Show when={!isEmpty(selection())}>
          <Card
            selection={selection()}
            city={city}
            tick={calm()}
            close={() => select(NOTHING)}
            select={(chosen) => choose(chosen)}
            refuse={(found) => setRefusals(found)}
          />
        </Show>
        <Show when={orders()}>
          {(now) => <Orders at={now().at} groups={now().groups} close={() => setOrders(undefined)} />}
        </Show>
      </div>
    </div>
  );

  function alike(one: readonly string[], other: readonly string[]): boolean {
    return one.length === other.length && one.every((name, at) => name === other[at]);
  }

  function sameFound(one: Found | undefined, other: Found | undefined): boolean {
    if (!one || !other || one.kind !== other.kind) return one === other;
    const name = (found: Found) => ("id" in found ? found.id : "index" in found ? String(found.index) : "");
    return name(one) === name(other);
  }
}
