import { describe, expect, it } from "vitest";
import { type Camera, centred, fitted, free, MIDDLE_FROM, showing, toScreen } from "./camera";
import { advance, emptyCity } from "./city";
import { buildingOf, ROOF, roofOf } from "./geometry";
import { groundAbove, HALO, liesOver, nodeName, UNIT_NAME_HALF, UNIT_NAME_PX, unitName } from "./naming";
import { node, sight } from "./sample";

const SCREEN = { width: 1000, height: 700 };

describe("the name of a unit", () => {
  it("stands below the ring around it, at every zoom at which it has one", () => {
    const spot = { x: 0, y: 0, size: 9, width: 9 };
    for (let zoom = UNIT_NAME_PX / spot.size; zoom < 14; zoom += 0.25) {
      const place = unitName(spot, { x: 0, y: 0, zoom }, SCREEN, SCREEN, 60);
      // Of the ring's picture one part in seventy is empty at its edge; of the name's ground two pixels are.
      const ring = SCREEN.height / 2 + (spot.size * zoom * HALO * 35) / 72;
      expect((place?.y ?? 0) - UNIT_NAME_HALF + 2.5, `at ${zoom}`).toBeGreaterThanOrEqual(ring);
    }
  });

  it("goes along with what is seen of it, and is not told of what is not", () => {
    const spot = { x: 0, y: 0, size: 60, width: 60 };
    const camera = (y: number): Camera => ({ x: 0, y, zoom: 14 });
    const place = unitName(spot, camera(-20), SCREEN, SCREEN, 60);
    expect(place?.y).toBe(SCREEN.height - 60);
    expect(place?.x).toBe(SCREEN.width / 2);
    expect(unitName(spot, camera(-70), SCREEN, SCREEN, 60)).toBeUndefined();
    expect(unitName(spot, camera(60), SCREEN, SCREEN, 60)).toBeUndefined();
  });

  it("stands where its unit is, whatever lies over the map, and never below that", () => {
    const place = free(SCREEN, { right: 356, bottom: 0 });
    const at = (x: number) => unitName({ x, y: 0, size: 20, width: 20 }, { x: 0, y: 0, zoom: 4 }, SCREEN, place, 60);
    expect(at(-30)?.x).toBe(SCREEN.width / 2 - 120);
    expect((at(32)?.x ?? 0) + (at(32)?.room ?? 0) / 2).toBeLessThanOrEqual(place.width);
    expect([at(-30)?.clipped, at(32)?.clipped]).toEqual([false, true]);
    expect(at(60)).toBeUndefined();
  });

  it("has the room between its square and those beside it too", () => {
    const at = (width: number) =>
      unitName({ x: 0, y: 0, size: 20, width }, { x: 0, y: 0, zoom: 4 }, SCREEN, SCREEN, 60);
    expect(at(24)?.room).toBe((at(20)?.room ?? 0) + 16);
    expect(at(24)?.x).toBe(at(20)?.x);
  });

  it("is told on all that is seen at the nearest zoom, wherever the camera is on it", () => {
    const spot = { x: 0, y: 0, size: 45, width: 45 };
    for (const y of [-22, -10, 0, 10, 18]) {
      const place = unitName(spot, { x: 5, y, zoom: 14 }, SCREEN, SCREEN, 60);
      expect(place, `from ${y}`).toBeDefined();
      expect(place?.y).toBeLessThanOrEqual(SCREEN.height - 60);
    }
  });
});

describe("the name of a node", () => {
  it("goes along when its roof is beyond the edge", () => {
    const roof = roofOf({ x: 0, y: 0 }, 0);
    const far = nodeName(roof, { x: roof.x, y: roof.y, zoom: 1 }, SCREEN, { left: 54, top: 48 }, 8);
    expect(far.moved).toBe(false);
    const near = nodeName(roof, { x: roof.x + 50, y: roof.y + 40, zoom: 14 }, SCREEN, { left: 54, top: 48 }, 119);
    expect([near.x, near.y, near.moved]).toEqual([54, 48, true]);
  });
});

describe("the ground above a roof", () => {
  const city = emptyCity("zone");
  advance(city, sight(Array.from({ length: 12 }, (_, index) => node(`n${index}`, { cpu_milli: 64_000 }))));
  const [district] = city.layout.districts;
  const of = (index: number) => city.buildings.get(district?.lots[index] ?? "");

  it("has room for a second line of a name from where nodes are named, however tall the building", () => {
    if (!district) throw new Error("no district");
    const below = of(district.columns);
    if (!below) throw new Error("no building");
    const strip = (ROOF.strip * MIDDLE_FROM) / 2;
    expect(groundAbove(below, district, MIDDLE_FROM, 0) + strip).toBeGreaterThanOrEqual(1.5 * 10.5);
    // Of it a caption of the row before takes what it needs.
    expect(groundAbove(below, district, 1, 12)).toBe(groundAbove(below, district, 1, 0) - 12);
    expect(groundAbove(below, district, MIDDLE_FROM, 12)).toBeGreaterThanOrEqual(0);
  });

  it("goes to the edge of the district from its first row", () => {
    const first = of(0);
    if (!district || !first) throw new Error("no building");
    expect(first.roof.y - groundAbove(first, district, 1, 0)).toBe(district.box.y);
  });
});

describe("the camera beside what lies over the map", () => {
  const cover = { right: 356, bottom: 0 };
  const camera = { x: 0, y: 0, zoom: 1 };

  it("stays where it is as long as all is seen", () => {
    expect(showing(camera, { x: -100, y: -50, width: 90, height: 60 }, SCREEN, cover)).toBe(camera);
  });

  it("moves what would be below the card beside it", () => {
    const box = { x: 300, y: 0, width: 90, height: 60 };
    const to = showing(camera, box, SCREEN, cover);
    const at = toScreen(to, SCREEN, { x: box.x + box.width, y: box.y });
    expect(at.x).toBeLessThanOrEqual(free(SCREEN, cover).width);
    expect(to.y).toBe(0);
  });

  it("puts in the middle, and fits, what is left of the screen", () => {
    const sheet = { right: 0, bottom: 350 };
    const middle = toScreen(centred({ x: 7, y: 9 }, 3, sheet), SCREEN, { x: 7, y: 9 });
    expect([Math.round(middle.x), Math.round(middle.y)]).toEqual([500, 175]);
    const to = fitted({ x: 0, y: 0, width: 400, height: 400 }, SCREEN, 5, sheet);
    expect(toScreen(to, SCREEN, { x: 0, y: 400 }).y).toBeLessThanOrEqual(350);
    expect(toScreen(to, SCREEN, { x: 0, y: 0 }).y).toBeGreaterThanOrEqual(0);
  });
});

describe("a name from afar", () => {
  it("is known to lie over another building, and not for its own or for empty ground", () => {
    const city = emptyCity("zone");
    advance(city, sight([node("n0"), node("n1")]));
    const [own, other] = ["n0", "n1"].map((id) => city.buildings.get(id));
    if (!own || !other) throw new Error("no buildings");
    const screen = { width: 800, height: 600 };
    const camera = { x: own.lot.x, y: own.lot.y, zoom: 0.3 };
    const box = buildingOf(own.lot, own.size);
    const at = toScreen(camera, screen, { x: box.x, y: box.y + box.height });
    const narrow = { x: at.x, y: at.y - 4, width: 20, height: 16 };
    expect(liesOver(narrow, "n0", city, camera, screen)).toBe(false);
    expect(liesOver(narrow, "n1", city, camera, screen)).toBe(true);
    expect(liesOver({ ...narrow, width: 60 }, "n0", city, camera, screen)).toBe(true);
    expect(liesOver({ x: 0, y: 0, width: 60, height: 16 }, "n0", city, camera, screen)).toBe(false);
  });
});
