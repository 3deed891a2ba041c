import { describe, expect, it } from "vitest";
import { toScreen } from "../model/camera";
import { advance, emptyCity } from "../model/city";
import { type Box, meets } from "../model/geometry";
import { NOTHING } from "../model/groups";
import { UNIT_SHARE } from "../model/naming";
import { instance, node, sight } from "../model/sample";
import { gridFor } from "../model/slots";
import { nameInstances } from "./instanceNames";
import type { Shown } from "./labels";

it("is on a ground of its own on the roof of a dark node, which is dark in the light theme too", () => {
  const grounds = (status: "live" | "lost", height = 800) => {
    const city = emptyCity("zone");
    advance(city, sight([node("n1", { status })], [instance("i1", "n1")]));
    const spot = city.units.get("i1")?.spot;
    if (!spot) throw new Error("it has no place");
    const found: string[] = [];
    const written: string[] = [];
    const pen = {
      use: () => {},
      width: (text: string) => text.length * 6,
      take: () => true,
      ground: (_: unknown, colour: string) => found.push(colour),
      text: (text: string) => written.push(text),
    };
    nameInstances({
      pen,
      look: { city, selection: NOTHING, cover: { right: 0, bottom: 0 } },
      palette: { halo: "halo", text: "", soft: "", tones: {} },
      camera: { x: spot.x, y: spot.y, zoom: 200 / spot.size },
      screen: { width: 1_200, height },
      view: { x: spot.x - 500, y: spot.y - 500, width: 1_000, height: 1_000 },
    } as unknown as Shown);
    expect(written).toEqual(["i1"]);
    return found;
  };
  expect(grounds("live")).toEqual([]);
  expect(grounds("lost")).toEqual(["halo"]);
  // So near that its foot is beyond the edge: the name stands on the unit itself.
  expect(grounds("live", 200)).toEqual(["halo"]);
});

describe("a long name", () => {
  const LONG = ["payments-reconciliation-order-worker-1.1", "internationalisation-ingest-gateway-2.1", "short-1.1"];
  const WIDE = 5.4;

  /** What is written, the grounds below some of it, and where the pictures of the units are. */
  function namesOf(many: number, side: number) {
    const city = emptyCity("zone");
    const here = Array.from({ length: many }, (_, at) =>
      instance(`i${at}`, "n1", { name: `${LONG[at % LONG.length]}${at}`, driver: at % 2 ? "wasm" : "process" }),
    );
    advance(city, sight([node("n1")], here));
    const ids = [...(city.buildings.get("n1")?.slots.ids() ?? [])];
    const spots = ids.map((id) => city.units.get(id)?.spot);
    const [first] = spots;
    const roof = city.buildings.get("n1")?.roof;
    if (!first || !roof) throw new Error("it has no place");
    const camera = { x: roof.x + roof.width / 2, y: roof.y + roof.height / 2, zoom: side / first.size };
    const screen = { width: 4_000, height: 4_000 };
    const written: { text: string; y: number }[] = [];
    const grounds: Box[] = [];
    const pen = {
      use: () => {},
      width: (text: string) => text.length * WIDE,
      take: () => true,
      ground: (box: Box) => grounds.push(box),
      text: (text: string, _: number, y: number) => written.push({ text, y }),
    };
    nameInstances({
      pen,
      look: { city, selection: NOTHING, cover: { right: 0, bottom: 0 } },
      palette: { halo: "halo", text: "", soft: "", tones: {} },
      camera,
      screen,
      view: roof,
    } as unknown as Shown);
    /** As `outline` of the atlas has it, on the screen. */
    const pictures = ids.map((id) => {
      const unit = city.units.get(id);
      if (!unit?.spot) throw new Error("it has no place");
      const half = ((unit.spot.size * UNIT_SHARE) / 2) * (unit.shape === "wasm" ? 1.12 : 0.92);
      const at = toScreen(camera, screen, { x: unit.spot.x - half, y: unit.spot.y - half });
      return { ...at, width: 2 * half * camera.zoom, height: 2 * half * camera.zoom };
    });
    return { written, grounds, pictures, columns: gridFor(many).columns };
  }

  it("lies over no unit but its own, at every zoom, and is whole where it has three lines", () => {
    for (const many of [3, 8, 18, 36]) {
      for (const side of [54, 60, 83, 120, 200]) {
        const { written, grounds, pictures } = namesOf(many, side);
        const told = written.map(({ text }) => text).join("");
        // In three lines of fewer letters the longest have no room: the middle of them is left out.
        for (let at = 0; at < many && side > 80; at += 1) expect(told).toContain(`${LONG[at % LONG.length]}${at}`);
        for (const ground of grounds) {
          const over = pictures.filter((picture) => meets(ground, { ...picture, y: picture.y + 0.01 }));
          expect(over.length, `of ${many}, ${side} wide`).toBeLessThanOrEqual(1);
          const [own] = over;
          if (own) expect(ground.y + ground.height).toBeGreaterThan(own.y + own.height);
        }
      }
    }
  });

  it("hides nothing of its unit where nobody stands below that", () => {
    const { grounds, pictures, columns } = namesOf(3, 100);
    expect(columns).toBeGreaterThan(3);
    expect(grounds.length).toBe(2);
    for (const ground of grounds) expect(pictures.some((picture) => meets(ground, picture))).toBe(false);
  });
});
