import { describe, expect, it } from "vitest";
import { fitted, levelOf, toScreen, UNCOVERED } from "./camera";
import { advance, type City, emptyCity } from "./city";
import { buildingOf } from "./geometry";
import { instance, node, sight } from "./sample";
import { firstOf, wholeOf } from "./whole";

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

  it.each([
    [26, 9, DESK],
    [26, 9, { width: 1_600, height: 700 }],
    [1_000, 9, DESK],
    [1_000, 9, { width: 900, height: 900 }],
    [40, 1, DESK],
  ])("leaves no district of %i nodes in %i below the small map", (nodes, zones, screen) => {
    const city = town(nodes, zones);
    for (const cover of [UNCOVERED, { right: 356, bottom: 0 }]) {
      const camera = wholeOf(city, screen, cover);
      for (const { box } of city.layout.districts) {
        const to = toScreen(camera, screen, { x: box.x + box.width, y: box.y + box.height });
        const clear = to.x <= screen.width - cover.right - 216 || to.y <= screen.height - 156;
        expect(clear, `${box.x} ${box.y}`).toBe(true);
      }
      const first = toScreen(camera, screen, city.layout.box);
      expect(Math.min(first.x, first.y)).toBeGreaterThanOrEqual(0);
    }
  });

  it("is on a phone never so far away that few nodes have no names, and begins in the corner", () => {
    const city = town(26, 9);
    expect(levelOf(wholeOf(city, PHONE).zoom)).toBe("far");
    const camera = firstOf(city, PHONE);
    expect(levelOf(camera.zoom)).toBe("middle");
    const { yard, districts } = city.layout;
    const nexus = toScreen(camera, PHONE, yard);
    expect([nexus.x, nexus.y]).toEqual([8, 54]);
    const first = toScreen(camera, PHONE, districts[0]?.box ?? yard);
    expect(first.x).toBeGreaterThanOrEqual(0);
    expect(first.y).toBeLessThan(PHONE.height / 2);
    for (const [nodes, zones, screen] of [
      [2, 2, PHONE],
      [26, 9, DESK],
      [1_000, 9, PHONE],
      [0, 1, PHONE],
    ] as const) {
      expect(firstOf(town(nodes, zones), screen)).toEqual(wholeOf(town(nodes, zones), screen));
    }
  });
});
