/** The whole map in a corner, with what is seen of it. A press or a drag goes there. */
import { createEffect, type JSX, onMount, untrack } from "solid-js";
import type { Camera, Screen } from "./model/camera";
import { seen } from "./model/camera";
import type { Building, City } from "./model/city";
import type { Question } from "./model/colours";
import type { Failing } from "./model/failing";
import { buildingOf, type Point } from "./model/geometry";
import { nexusAt } from "./model/seating";
import type { Look } from "./scene/look";
import { hex, type Palette } from "./scene/palette";
import { spotOf } from "./scene/tints";

const WIDTH = 190;
const MOST_HEIGHT = 130;

interface Props {
  look: Look;
  question: Question;
  /** Known later than it is asked for: the colours follow it. */
  failing: Failing;
  palette: Palette | undefined;
  camera: Camera;
  screen: Screen;
  /** Changes when the city is another. */
  tick: number;
  go(to: Point): void;
}

export function Minimap(props: Props) {
  let canvas: HTMLCanvasElement | undefined;
  let frame: HTMLDivElement | undefined;
  let pressed = false;

  const sizeOf = (city: City) => {
    const { box } = city.layout;
    const scale = Math.min(WIDTH / Math.max(1, box.width), MOST_HEIGHT / Math.max(1, box.height));
    return {
      scale,
      width: Math.max(40, Math.ceil(box.width * scale)),
      height: Math.max(30, Math.ceil(box.height * scale)),
    };
  };
  /** What does not depend on the camera. */
  const drawCity = () => {
    const { look, palette } = props;
    const context = canvas?.getContext("2d");
    if (!canvas || !context || !palette) return;
    const { scale, width, height } = sizeOf(look.city);
    const dense = Math.min(2, devicePixelRatio || 1);
    canvas.width = width * dense;
    canvas.height = height * dense;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const { box, districts, yard } = look.city.layout;
    context.scale(dense * scale, dense * scale);
    context.translate(-box.x, -box.y);
    context.fillStyle = hex(palette.plate);
    for (const one of [yard, ...districts.map((district) => district.box)]) {
      context.fillRect(one.x, one.y, one.width, one.height);
    }
    const nexus = nexusAt(look.city.layout);
    context.fillStyle = hex(palette.accent);
    context.fillRect(nexus.x - 2.5 / scale, nexus.y - 2.5 / scale, 5 / scale, 5 / scale);
    // All of one colour at once: a change of colour is dearer than what it colours.
    const coloured = new Map<number, Building[]>();
    for (const [id, building] of look.city.buildings) {
      const tint = spotOf(look, palette, id, building);
      const some = coloured.get(tint);
      if (some) some.push(building);
      else coloured.set(tint, [building]);
    }
    for (const [tint, some] of coloured) {
      context.fillStyle = hex(tint);
      context.beginPath();
      for (const { lot, size } of some) {
        const at = buildingOf(lot, size);
        context.rect(at.x, at.y, at.width, at.height);
      }
      context.fill();
    }
  };
  /** What is seen of it: an element, which costs nothing to move. */
  const showFrame = () => {
    const { camera, screen } = props;
    if (!frame) return;
    const { scale, width, height } = sizeOf(props.look.city);
    const view = seen(camera, screen);
    const { box } = props.look.city.layout;
    const x = Math.max(0, (view.x - box.x) * scale);
    const y = Math.max(0, (view.y - box.y) * scale);
    const right = Math.min(width, (view.x + view.width - box.x) * scale);
    const bottom = Math.min(height, (view.y + view.height - box.y) * scale);
    frame.hidden = right <= x || bottom <= y;
    frame.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    frame.style.width = `${Math.max(1, right - x).toFixed(1)}px`;
    frame.style.height = `${Math.max(1, bottom - y).toFixed(1)}px`;
  };
  onMount(() => {
    // A graphics card that is reset takes this picture as well, which then comes back empty.
    canvas?.addEventListener("contextrestored", () => untrack(drawCity));
    createEffect(() => {
      props.tick;
      props.palette;
      props.question;
      props.failing;
      untrack(drawCity);
    });
    createEffect(() => {
      props.tick;
      props.camera;
      props.screen;
      untrack(showFrame);
    });
  });
  const go: JSX.EventHandler<HTMLCanvasElement, PointerEvent> = (event) => {
    if (!pressed) return;
    const box = event.currentTarget.getBoundingClientRect();
    const { scale } = sizeOf(props.look.city);
    const { layout } = props.look.city;
    props.go({
      x: layout.box.x + (event.clientX - box.x) / scale,
      y: layout.box.y + (event.clientY - box.y) / scale,
    });
  };
  return (
    <div class="map-mini" aria-hidden="true">
      <canvas
        ref={canvas}
        onPointerDown={(event) => {
          pressed = true;
          event.currentTarget.setPointerCapture(event.pointerId);
          go(event);
        }}
        onPointerMove={go}
        onPointerUp={() => {
          pressed = false;
        }}
      />
      <div ref={frame} class="map-mini-view" />
    </div>
  );
}
