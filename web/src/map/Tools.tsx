import Hand from "lucide-solid/icons/hand";
import Maximize from "lucide-solid/icons/maximize";
import SquareDashedMousePointer from "lucide-solid/icons/square-dashed-mouse-pointer";
import ZoomIn from "lucide-solid/icons/zoom-in";
import ZoomOut from "lucide-solid/icons/zoom-out";
import { Show } from "solid-js";

interface Props {
  moving: boolean;
  nearer(): void;
  farther(): void;
  all(): void;
  move(on: boolean): void;
}

/** For whoever has a pointer and no wheel, or would rather drag the map than select. */
export function Tools(props: Props) {
  return (
    <div class="map-tools">
      <button type="button" title="Nearer (+)" aria-label="Nearer" onClick={() => props.nearer()}>
        <ZoomIn size={16} aria-hidden="true" />
      </button>
      <button type="button" title="Farther (-)" aria-label="Farther" onClick={() => props.farther()}>
        <ZoomOut size={16} aria-hidden="true" />
      </button>
      <button type="button" title="All (Home)" aria-label="All of it" onClick={() => props.all()}>
        <Maximize size={16} aria-hidden="true" />
      </button>
      <button
        type="button"
        title={props.moving ? "Dragging moves the map" : "Dragging selects; the middle button moves the map"}
        aria-label="Drag to move the map"
        aria-pressed={props.moving}
        onClick={() => props.move(!props.moving)}
      >
        <Show when={props.moving} fallback={<SquareDashedMousePointer size={16} aria-hidden="true" />}>
          <Hand size={16} aria-hidden="true" />
        </Show>
      </button>
    </div>
  );
}
