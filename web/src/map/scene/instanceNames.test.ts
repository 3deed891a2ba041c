import { expect, it } from "vitest";
import { advance, emptyCity } from "../model/city";
import { NOTHING } from "../model/groups";
import { instance, node, sight } from "../model/sample";
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
