/** Where names stand, and what of them there is room for. Pixels of the screen, but for what says otherwise. */
import { type Camera, type Screen, toMap, toScreen } from "./camera";
import type { City } from "./city";
import { type Box, buildingOf, meets, type Point } from "./geometry";
import { lotsIn } from "./layout";
import type { Spot } from "./slots";

/** The ring around a selected unit, of its square: between the unit and its name. */
export const HALO = 0.89;
/** What a unit has to have to be named. */
export const UNIT_NAME_PX = 54;
/** Half of the height of a unit's name, with its ground. */
export const UNIT_NAME_HALF = 7;

/**
 * The middle of a unit's name: at the foot of its square, or, where that is beyond the edge, at the edge while any of it is
 * seen. `place`: what of the screen nothing lies over.
 */
export function unitName(
  spot: Spot,
  camera: Camera,
  screen: Screen,
  place: Screen,
  below: number,
): (Point & { room: number }) | undefined {
  const half = spot.size / 2;
  const from = toScreen(camera, screen, { x: spot.x - half, y: spot.y - half });
  const side = spot.size * camera.zoom;
  const left = Math.max(from.x, 0);
  const right = Math.min(from.x + side, place.width);
  const foot = Math.min(from.y + side + 1, place.height - below);
  const room = right - left - 3;
  if (side < UNIT_NAME_PX || room < UNIT_NAME_PX / 2) return undefined;
  if (foot < UNIT_NAME_HALF || foot < from.y + UNIT_NAME_HALF) return undefined;
  return { x: (left + right) / 2, y: foot, room };
}

/** Where a node's name begins: on its roof, or, where that is beyond the edge, at the edge as long as the roof is seen. */
export function nodeName(
  roof: Box,
  camera: Camera,
  screen: Screen,
  edges: { left: number; top: number },
  strip: number,
) {
  const at = toScreen(camera, screen, roof);
  const right = Math.min(at.x + roof.width * camera.zoom, screen.width);
  const foot = at.y + roof.height * camera.zoom;
  const y = Math.min(Math.max(at.y + strip, edges.top), foot - strip);
  const x = Math.max(at.x, edges.left);
  return { x, y, right, moved: x > at.x || y > at.y + strip };
}

/** Whether a box on the screen lies over a building that is not the one it is of. */
export function liesOver(place: Box, own: string, city: City, camera: Camera, screen: Screen): boolean {
  const from = toMap(camera, screen, place);
  const box = { ...from, width: place.width / camera.zoom, height: place.height / camera.zoom };
  return lotsIn(city.layout, box).some((id) => {
    const building = id === own ? undefined : city.buildings.get(id);
    return building !== undefined && meets(box, buildingOf(building.lot, building.size));
  });
}

/** As much of a text as there is room for: its beginning, or with `tail` its end too. Empty below three letters. */
export function within(text: string, room: number, width: (text: string) => number, tail = 0): string {
  const whole = width(text);
  if (whole <= room) return text;
  let most = Math.min(text.length - 1, Math.floor((text.length * room) / whole));
  for (; most >= 3; most -= 1) {
    const end = Math.min(tail, most - 1);
    const short = `${text.slice(0, most - end)}…${end ? text.slice(-end) : ""}`;
    if (width(short) <= room) return short;
  }
  return "";
}

/** In two lines, parted where a name has a joint, if both then fit. */
export function inTwo(text: string, room: number, width: (text: string) => number): [string, string] | undefined {
  let best: [string, string] | undefined;
  let least = room;
  for (const joint of text.matchAll(/[-_./: ]+/g)) {
    const at = joint.index + joint[0].length;
    const lines: [string, string] = [text.slice(0, at).trimEnd(), text.slice(at)];
    if (!lines[1]) continue;
    const widest = Math.max(width(lines[0]), width(lines[1]));
    if (widest <= least) [best, least] = [lines, widest];
  }
  return best;
}

/** A text in so many lines at the most, parted between words; undefined where it has no room. */
export function wrapped(
  text: string,
  room: number,
  most: number,
  width: (text: string) => number,
): string[] | undefined {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (width(longer) <= room) lines.splice(-1, 1, longer);
    else if (width(word) <= room) lines.push(word);
    else return undefined;
    if (lines.length > most) return undefined;
  }
  return lines;
}
