import { expect, it } from "vitest";
import { advance, emptyCity } from "../model/city";
import { node, sight } from "../model/sample";
import type { Shown } from "./labels";
import { nameNodes } from "./nodeNames";

/** The name, in which colour it is written, and on which grounds. At this zoom a roof is 74 px wide, a letter 6 px. */
function named(name: string, status: "live" | "lost") {
  const city = emptyCity("zone");
  advance(city, sight([node("n1", { name, status })], []));
  const lot = city.buildings.get("n1")?.lot;
  if (!lot) throw new Error("it has no place");
  const grounds: string[] = [];
  const written: [string, string][] = [];
  const pen = {
    use: () => {},
    flush: () => {},
    width: (text: string) => text.length * 6,
    within: (text: string) => text,
    isFree: () => false,
    ground: (_: unknown, colour: string) => grounds.push(colour),
    text: (text: string, _x: number, _y: number, colour: string) => written.push([text, colour]),
  };
  nameNodes(
    {
      pen,
      look: { city, use: () => undefined },
      palette: { halo: "halo", text: "text", onDark: "onDark", soft: "", faint: "", tones: {} },
      camera: { x: lot.x, y: lot.y, zoom: 0.7 },
      screen: { width: 1_200, height: 800 },
      view: { x: lot.x - 500, y: lot.y - 500, width: 1_000, height: 1_000 },
      fits: new Map(),
      feet: new Map(),
    } as unknown as Shown,
    "middle",
  );
  return { written, grounds };
}

it("is on a ground of its own where it reaches beyond the roof of a dark node, in one line too", () => {
  expect(named("n1", "lost")).toEqual({ written: [["n1", "onDark"]], grounds: [] });
  expect(named("vm-us-005-no", "lost")).toEqual({ written: [["vm-us-005-no", "text"]], grounds: ["halo"] });
  expect(named("vm-us-005-no", "live")).toEqual({ written: [["vm-us-005-no", "text"]], grounds: [] });
});
