import { describe, expect, it } from "vitest";
import { fitted, levelOf, toScreen } from "./camera";
import { advance, type City, emptyCity } from "./city";
import { buildingOf } from "./geometry";
import { instance, node, sight } from "./sample";
import { wholeOf } from "./whole";

const PHONE = { width: 360, height: 628 };
const DESK = { width: 1236, height: 845 };

function town(nodes: number, zones: number, waiting = 0): City {
  const city = emptyCity("zone");
  const all = Array.from({ length: nodes }, (_, at) => node(`n${at}`, { labels: { zone: `z${at % zones}` } }));
  advance(
    city,
    sight(
      all,
      [...Array(waiting).keys()].map((at) => instance(`p${at}`, "")),
    ),
  );
  return city;
}

describe("what the camera begins with", () => {
  it.each([
    [1, 1, 0],
    [2, 2, 0],
    [2, 1, 0],
    [4, 4, 0],
    [2, 2, 30],
  ])("is on a phone near enough for the names of %i nodes in %i districts, all in sight", (nodes, zones, waiting) => {
    const city = town(nodes, zones, waiting);
    const camera = wholeOf(city, PHONE);
    expect(levelOf(camera.zoom)).not.toBe("far");
    const boxes = [...city.buildings.values()].map(({ lot, size }) => buildingOf(lot, size));
    for (const unit of city.units.values()) if (unit.spot) boxes.push({ ...unit.spot, width: 0, height: 0 });
    for (const box of boxes) {
      const from = toScreen(camera, PHONE, box);
      const to = toScreen(camera, PHONE, { x: box.x + box.width, y: box.y + box.height });
      expect(Math.min(from.x, from.y)).toBeGreaterThanOrEqual(0);
      expect(to.x).toBeLessThanOrEqual(PHONE.width);
      expect(to.y).toBeLessThanOrEqual(PHONE.height);
    }
  });

  it.each([
    [1, 1, DESK],
    [2, 2, DESK],
    [26, 3, DESK],
    [1_000, 9, DESK],
    [26, 3, PHONE],
    [1_000, 9, PHONE],
    [0, 1, PHONE],
  ])(
    "is the whole map with %i nodes in %i districts where that is near enough, or nothing is",
    (nodes, zones, screen) => {
      const city = town(nodes, zones);
      expect(wholeOf(city, screen)).toEqual(fitted(city.layout.box, screen));
    },
  );
});
