/** Where what is told of one unit stands beside it. Screen is in CSS pixels from the upper left of the map. Pure. */
import { bound, type Screen } from "./camera";
import type { Point } from "./geometry";

/** As map.css has it, px. */
const SIZE = { width: 300, height: 432 } as const;
const MARGIN = 12;
/** For the name below a unit. */
const NAME_PX = 18;

/** Below the unit and its name; beside it where there is no room for that. `wide`: of the unit's square, px. */
export function besideUnit(at: Point, wide: number, screen: Screen): Point {
  const within = (value: number, room: number, size: number) =>
    bound(value, MARGIN, Math.max(MARGIN, room - size - MARGIN));
  const below = at.y + wide / 2 + NAME_PX;
  const fits = below + SIZE.height + MARGIN <= screen.height;
  return {
    x: within(fits ? at.x - SIZE.width / 2 : at.x + wide / 2, screen.width, SIZE.width),
    y: fits ? below : within(at.y - SIZE.height / 2, screen.height, SIZE.height),
  };
}
