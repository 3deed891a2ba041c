/** How near is near enough to a node: so that what runs there can be read. Pure. */
import { type Cover, fitted, type Screen, ZOOM } from "./camera";
import type { City } from "./city";
import { buildingOf } from "./geometry";
import { UNIT_NAME_PX } from "./naming";
import { slotsOf } from "./seating";

/** As near as a node is shown of which no instance needs more, or nothing more fits. */
export const NEAR_ZOOM = 4.2;
/** In which a name of a usual length has its one line, px. */
const NAME_ROOM_PX = 98;

/**
 * At which its instances have names, each beside the next; of so many that this is nearer than the node is seen whole: as
 * near as that.
 */
export function nearZoom(city: City, node: string, screen: Screen, cover: Cover): number {
  const building = city.buildings.get(node);
  const [first] = slotsOf(city, node)?.ids() ?? [];
  const spot = first === undefined ? undefined : city.units.get(first)?.spot;
  if (!building || !spot) return NEAR_ZOOM;
  // A little more than the least: what is at the edge of being named would be so on some screens alone.
  const named = Math.max(NAME_ROOM_PX / spot.width, (UNIT_NAME_PX + 1) / spot.size);
  const whole = fitted(buildingOf(building.lot, building.size), screen, ZOOM.most, cover).zoom;
  return Math.max(NEAR_ZOOM, Math.min(named, whole));
}
