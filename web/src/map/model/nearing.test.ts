import { expect, it } from "vitest";
import { advance, emptyCity } from "./city";
import { buildingOf } from "./geometry";
import { UNIT_NAME_PX } from "./naming";
import { NEAR_ZOOM, nearZoom } from "./nearing";
import { instance, node, sight } from "./sample";

const SCREEN = { width: 1_200, height: 820 };
const CARD = { right: 340, bottom: 0 };

function near(many: number, screen = SCREEN, cover = CARD) {
  const city = emptyCity("zone");
  const some = Array.from({ length: many }, (_, at) => instance(`i${at}`, "n1"));
  advance(city, sight([node("n1")], some));
  const building = city.buildings.get("n1");
  const spot = city.units.get("i0")?.spot;
  if (!building) throw new Error("it has no building");
  const zoom = nearZoom(city, "n1", screen, cover);
  const { width, height } = buildingOf(building.lot, building.size);
  return { zoom, unit: (spot?.size ?? 0) * zoom, width: width * zoom, height: height * zoom };
}

it("is so near that its instances are named, with all of the node in sight beside the card", () => {
  for (const many of [1, 6, 13, 19, 24]) {
    const found = near(many);
    expect(found.unit, `of ${many}`).toBeGreaterThan(UNIT_NAME_PX);
    expect(found.width).toBeLessThan(SCREEN.width - CARD.right);
    expect(found.height).toBeLessThan(SCREEN.height);
  }
});

it("is no nearer than it has to be, and not so near that the node is not seen whole", () => {
  expect(near(0).zoom).toBe(NEAR_ZOOM);
  expect(near(1).zoom).toBe(NEAR_ZOOM);
  const crowd = near(200);
  expect(crowd.width).toBeLessThan(SCREEN.width - CARD.right);
  expect(crowd.zoom).toBeGreaterThan(NEAR_ZOOM);
  // Where even that is too near, nothing is nearer.
  expect(near(200, { width: 360, height: 600 }, { right: 0, bottom: 0 }).zoom).toBe(NEAR_ZOOM);
});
