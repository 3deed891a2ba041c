/** The way over the map: to all of it, nearer, to a node, and so that the card does not lie over what it is of. */
import type { Accessor } from "solid-js";
import { moves } from "../parts/motion";
import {
  type Camera,
  type Cover,
  centred,
  fitted,
  free,
  pan,
  type Screen,
  seen,
  showing,
  toScreen,
  zoomAt,
} from "./model/camera";
import type { City } from "./model/city";
import { type Box, buildingOf, centre, holds, type Point } from "./model/geometry";
import type { Selection } from "./model/groups";
import { type Layout, shifted } from "./model/layout";
import { NEAR_ZOOM, nearZoom } from "./model/nearing";
import { boxOf } from "./model/pick";
import { firstOf, wholeOf } from "./model/whole";
import type { Scene } from "./scene/scene";

/** So far from the edges the node is that the keyboard has come to, if the screen is large enough for that. */
const MARGIN_PX = 60;
/** Of the zoom at which all is seen: from farther away there is nothing more, and districts lose their names. */
const FARTHEST = 0.5;

interface Around {
  scene: Accessor<Scene | undefined>;
  city(): City;
  screen: Accessor<Screen>;
  cover(): Cover;
  selection: Accessor<Selection>;
  /** The node that the keyboard is at; empty: none. */
  cursor(): string;
}

export interface Steering {
  /** All of it, as far as the camera is concerned. */
  whole(): Camera;
  /** What it begins with. */
  first(): Camera;
  /** Whether the camera is where nobody has moved it: at all of it, or at what it begins with. */
  untouched(): "whole" | "first" | undefined;
  /** After the screen has become another one: all of it, if it was all before; else as much as `reveal` does. */
  refit(before: Screen): void;
  go(to: Camera): void;
  /** After nodes have other lots: with those that are selected where they were seen; else the one in the middle. */
  stay(before: Layout): void;
  /** With the place in the middle. */
  centre(at: Point): void;
  /** All of a box, as near as instances have names. */
  fit(box: Box): void;
  pan(dx: number, dy: number): void;
  /** About a place of the screen; without one, about what is selected, or about the middle. */
  zoomBy(factor: number, at?: Point): void;
  near(node: string): void;
  /** What is selected, moved as little as brings it from under the card. */
  reveal(): void;
  /** A node, moved only if it is not seen. */
  keepInSight(node: string): void;
}

export function createSteering(around: Around): Steering {
  const { scene, screen, cover } = around;
  const go = (to: Camera) => scene()?.look(to, moves());
  const middleOf = (node: string): Point | undefined => {
    const building = around.city().buildings.get(node);
    return building && centre(buildingOf(building.lot, building.size));
  };
  const wholeOn = (some: Screen) => wholeOf(around.city(), some, cover());
  const reveal = () => {
    const made = scene();
    if (!made) return;
    made.ask();
    const box = boxOf(around.city(), around.selection());
    if (!box) return;
    const place = free(screen(), cover());
    const { zoom } = made.camera;
    const fits = box.width * zoom <= place.width && box.height * zoom <= place.height;
    const to = fits ? showing(made.camera, box, screen(), cover()) : fitted(box, screen(), zoom, cover());
    if (to !== made.camera) go(to);
  };
  return {
    whole: () => wholeOn(screen()),
    first: () => firstOf(around.city(), screen(), cover()),
    untouched: () => {
      const camera = scene()?.camera;
      if (!camera) return undefined;
      if (alike(camera, wholeOn(screen()))) return "whole";
      return alike(camera, firstOf(around.city(), screen(), cover())) ? "first" : undefined;
    },
    refit: (before) => {
      const camera = scene()?.camera;
      if (camera && !boxOf(around.city(), around.selection()) && alike(camera, wholeOn(before)))
        scene()?.look(wholeOn(screen()), false);
      else reveal();
    },
    go,
    stay: (before) => {
      const made = scene();
      if (!made) return;
      // Of what the card does not lie over, and where a flight goes to: it ends there at once.
      const view = seen(made.camera, screen());
      const place = free(screen(), cover());
      const { zoom } = made.camera;
      const open = { ...view, width: place.width / zoom, height: place.height / zoom };
      const by = shifted(before, around.city().layout, open, new Set([...around.selection().nodes, around.cursor()]));
      if (by.x || by.y) made.look({ x: made.camera.x + by.x, y: made.camera.y + by.y, zoom }, false);
    },
    centre: (at) => scene()?.look({ ...at, zoom: scene()?.camera.zoom ?? 1 }, false),
    fit: (box) => go(fitted(box, screen(), NEAR_ZOOM, cover())),
    pan: (dx, dy) => {
      const made = scene();
      made?.look(pan(made.shownCamera, dx, dy, around.city().layout.box), false);
    },
    zoomBy: (factor, at) => {
      const made = scene();
      if (!made) return;
      const place = free(screen(), cover());
      // Nearer to what is selected, if that is seen.
      const box = at ? undefined : boxOf(around.city(), around.selection());
      const upon = box && toScreen(made.camera, screen(), centre(box));
      const within = upon && holds({ x: 0, y: 0, ...place }, upon);
      const middle = within ? upon : { x: place.width / 2, y: place.height / 2 };
      const least = wholeOf(around.city(), screen()).zoom * FARTHEST;
      made.look(zoomAt(at ? made.shownCamera : made.camera, screen(), at ?? middle, factor, least), !at && moves());
    },
    near: (node) => {
      const middle = middleOf(node);
      if (middle) go(centred(middle, nearZoom(around.city(), node, screen(), cover()), cover()));
    },
    reveal,
    keepInSight: (node) => {
      const made = scene();
      const middle = middleOf(node);
      if (!made || !middle) return;
      const at = toScreen(made.camera, screen(), middle);
      const place = free(screen(), cover());
      const margin = Math.min(MARGIN_PX, place.width / 16, place.height / 12);
      const across = at.x > margin && at.x < place.width - margin;
      const down = at.y > margin && at.y < place.height - margin;
      if (!across || !down) go(centred(middle, made.camera.zoom, cover()));
    },
  };
}

function alike(one: Camera, other: Camera): boolean {
  return one.zoom === other.zoom && one.x === other.x && one.y === other.y;
}
