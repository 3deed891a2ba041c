/** The whole map in a corner, with what is seen of it. A press or a drag goes there. */
import { createEffect, type JSX, onMount } from "solid-js";
import type { Camera, Screen } from "./model/camera";
import { seen } from "./model/camera";
import { type City, nexusAt } from "./model/city";
import { nodeColour } from "./model/colours";
import { buildingOf, type Point } from "./model/geometry";
import type { Look } from "./scene/look";
import { colour, hex, type Palette } from "./scene/palette";

const WIDTH = 190;
const MOST_HEIGHT = 130;

interface Props {
  look: Look;
  palette: Palette | undefined;
  camera: Camera;
  screen: Screen;
  /** Changes when the city is another. */
  tick: number;
  go(to: Point): void;
}

export function Minimap(props: Props) {
  let canvas: HTMLCanvasElement | undefined;
  const still = document.createElement("canvas");
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
    if (!palette) return;
    const { scale, width, height } = sizeOf(look.city);
    const dense = Math.min(2, devicePixelRatio || 1);
    still.width = width * dense;
    still.height = height * dense;
    const context = still.getContext("2d");
    if (!context) return;
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
    for (const building of look.city.buildings.values()) {
      const bad = building.ailing > 0.25;
      const name = nodeColour(look.question, building, look.use(building.node.id), look.versions);
      const plain = bad && look.question === "health" ? "tone-bad" : name;
      context.fillStyle = building.dark
        ? hex(palette.colours["tone-bad"] ?? 0)
        : hex(plain === "plain" ? palette.edge : colour(palette, plain));
      const at = buildingOf(building.lot, building.size);
      context.fillRect(at.x, at.y, at.width, at.height);
    }
  };
  const draw = () => {
    const { look, palette, camera, screen } = props;
    const context = canvas?.getContext("2d");
    if (!canvas || !context || !palette || !still.width) return;
    const { scale, width, height } = sizeOf(look.city);
    if (canvas.width !== still.width || canvas.height !== still.height) {
      canvas.width = still.width;
      canvas.height = still.height;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const dense = still.width / width;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(still, 0, 0);
    const view = seen(camera, screen);
    const { box } = look.city.layout;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.strokeStyle = palette.text;
    context.lineWidth = 1;
    const x = Math.max(0.5, (view.x - box.x) * scale);
    const y = Math.max(0.5, (view.y - box.y) * scale);
    const right = Math.min(width - 0.5, (view.x + view.width - box.x) * scale);
    const bottom = Math.min(height - 0.5, (view.y + view.height - box.y) * scale);
    if (right > x && bottom > y) context.strokeRect(x, y, right - x, bottom - y);
  };
  onMount(() => {
    createEffect(() => {
      props.tick;
      drawCity();
      draw();
    });
    createEffect(draw);
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
    </div>
  );
}
