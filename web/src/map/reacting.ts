/** What a pointer or a key on the map comes to: what is pointed at and told of, what is selected, ordered and gone to. */
import { type Accessor, createSignal } from "solid-js";
import type { Reactions } from "./controls";
import type { City } from "./model/city";
import { between, type Point } from "./model/geometry";
import { isEmpty, NOTHING, type Selection } from "./model/groups";
import { type Found, inBox, neighbour, nextDistrict, pick } from "./model/pick";
import { tellNode } from "./model/telling";
import type { Scene } from "./scene/scene";
import { chosenBy, type OrderGroup, type Selecting } from "./selecting";
import type { Steering } from "./steering";

/** From here on a box is about instances. */
const INSTANCES_FROM = 1.6;

interface Around {
  scene: Accessor<Scene | undefined>;
  city(): City;
  selecting: Selecting;
  steering: Steering;
  /** To whoever hears the page. */
  say(text: string): void;
}

export interface Reacting {
  reactions: Reactions;
  /** The node that the keyboard is at; empty: none. */
  cursor: Accessor<string>;
  setCursor(node: string): void;
  /** What the pointer is at, and where that is. */
  hover: Accessor<Found | undefined>;
  hoverAt: Accessor<Point>;
  /** What is below a pointer that rests may be another, as the map is. */
  look(): void;
  /** What can be done, asked for at a place. */
  orders: Accessor<{ at: Point; groups: OrderGroup[] } | undefined>;
  endOrders(): void;
  /** Whether dragging moves the map. */
  moving: Accessor<boolean>;
  setMoving(on: boolean): void;
  choose(chosen: Selection, add?: boolean): void;
  /** Selects it, wherever it is, and goes there. */
  find(sought: Sought): void;
}

/** By name: of an agent, all of its instances. */
export type Sought = Found | { kind: "agent"; id: string };

export function createReacting({ scene, city, selecting, steering, say }: Around): Reacting {
  const { selection, select } = selecting;
  const [cursor, setCursor] = createSignal("");
  const [hover, setHover] = createSignal<Found>();
  const [hoverAt, setHoverAt] = createSignal<Point>({ x: 0, y: 0 });
  const [orders, setOrders] = createSignal<{ at: Point; groups: OrderGroup[] }>();
  const [chosen, setMoving] = createSignal<boolean>();
  const coarse = matchMedia("(pointer: coarse)").matches;
  const moving = () => chosen() ?? coarse;

  const choose = (chosen: Selection, add = false) => {
    select(chosen, add);
    steering.reveal();
  };
  /** Told to whoever hears the page, and kept in sight. */
  const stepTo = (id: string | undefined) => {
    const building = id === undefined ? undefined : city().buildings.get(id);
    if (!building || id === undefined || !scene()) return;
    setCursor(id);
    say(tellNode(city(), building));
    steering.keepInSight(id);
  };
  const here = (at: Point): Found | undefined => {
    const made = scene();
    return made && pick(city(), made.at(at), made.shownCamera.zoom);
  };

  const reactions: Reactions = {
    click: (at, add) => {
      const found = here(at);
      // Where there is no pointer, this is how the whole of a name that was shortened is read.
      setHoverAt(at);
      setHover(found?.kind === "district" ? found : undefined);
      if (found?.kind === "node") setCursor(found.id);
      if (found?.kind === "nexus") choose({ nodes: new Set(), instances: new Set(city().yard.ids()) }, add);
      else if (!add || found?.kind === "node" || found?.kind === "instance") choose(chosenBy(found), add);
    },
    open: (at) => {
      const found = here(at);
      if (found?.kind === "node") steering.near(found.id);
      if (found?.kind === "district") {
        const district = city().layout.districts[found.index];
        if (district) steering.fit(district.box);
      }
      if (found?.kind === "instance") {
        // As in the games that it is modelled on: all of the same kind.
        const workload = city().units.get(found.id)?.instance.workload_id ?? "";
        choose({ nodes: new Set(), instances: new Set(city().unitsOf.get(workload)) });
      }
    },
    order: (at) => {
      const chosen = chosenBy(here(at));
      const { nodes, instances } = selection();
      const held =
        [...chosen.nodes].some((id) => nodes.has(id)) || [...chosen.instances].some((id) => instances.has(id));
      if (!isEmpty(chosen) && !held) select(chosen);
      const groups = selecting.orders();
      if (groups.length) setOrders({ at, groups });
    },
    hover: (at) => {
      const found = at && here(at);
      if (at) setHoverAt(at);
      setHover((now) => (same(now, found) ? now : found));
    },
    marquee: (box) => {
      if (box) setHover(undefined);
      scene()?.marquee(box);
    },
    select: (box, add) => {
      const made = scene();
      if (!made) return;
      const from = made.at(box);
      const to = made.at({ x: box.x + box.width, y: box.y + box.height });
      choose(inBox(city(), between(from, to), made.shownCamera.zoom >= INSTANCES_FROM), add);
    },
    pan: (dx, dy) => steering.pan(dx, dy),
    zoom: (at, factor) => steering.zoomBy(factor, at),
    step: (direction) => stepTo(cursor() ? neighbour(city(), cursor(), direction) : nextDistrict(city(), "", 1)),
    district: (by) => stepTo(nextDistrict(city(), cursor(), by)),
    enter: (add) => {
      if (!cursor()) return stepTo(nextDistrict(city(), "", 1));
      if (selection().nodes.has(cursor()) && !add) steering.near(cursor());
      else choose({ nodes: new Set([cursor()]), instances: new Set() }, add);
    },
    all: () => steering.go(steering.whole()),
    clear: () => {
      setOrders(undefined);
      select(NOTHING);
    },
    group: (key, save) => {
      if (save) return selecting.saveGroup(key);
      stepTo(selecting.recallGroup(key));
      steering.reveal();
    },
    moving: (finger) => chosen() ?? (finger || coarse),
  };

  const find = (found: Sought) => {
    if (found.kind === "agent") {
      const own = [...city().units.values()].filter((unit) => unit.instance.workload_id === found.id);
      if (!own.length) say("It has no instance");
      choose({ nodes: new Set(), instances: new Set(own.map((unit) => unit.instance.id)) });
      return;
    }
    select(chosenBy(found));
    const home =
      found.kind === "instance" ? (city().units.get(found.id)?.home ?? "") : found.kind === "node" ? found.id : "";
    if (!home) {
      if (found.kind === "instance") steering.fit(city().layout.yard);
      return;
    }
    setCursor(home);
    // What the pointer was at goes elsewhere.
    setHover(undefined);
    steering.near(home);
    steering.reveal();
  };
  const look = () => {
    if (!hover()) return;
    const found = here(hoverAt());
    setHover((now) => (same(now, found) ? now : found));
  };
  const endOrders = () => setOrders(undefined);
  return { reactions, cursor, setCursor, hover, hoverAt, look, orders, endOrders, moving, setMoving, choose, find };
}

function same(one: Found | undefined, other: Found | undefined): boolean {
  if (!one || !other || one.kind !== other.kind) return one === other;
  const name = (found: Found) => ("id" in found ? found.id : "index" in found ? String(found.index) : "");
  return name(one) === name(other);
}
