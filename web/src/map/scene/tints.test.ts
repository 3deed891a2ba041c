import { expect, it } from "vitest";
import type { Building } from "../model/city";
import { NOT_ASKED } from "../model/failing";
import type { Look } from "./look";
import type { Palette } from "./palette";
import { spotOf, tintOf } from "./tints";

const PALETTE = { roof: 0, front: 0, edge: 0x808080, colours: { "tone-bad": 0xff0000 } } as unknown as Palette;
const LOOK = { question: "health", versions: [], use: () => undefined, failing: NOT_ASKED } as unknown as Look;
const building = (ailing: number) =>
  ({ node: {}, state: { tone: "good" }, dark: false, ailing }) as unknown as Building;

it("shows on the small map one failing instance of many, as on the line around a node", () => {
  const edge = (ailing: number) => spotOf(LOOK, PALETTE, "n", building(ailing));
  for (const ailing of [0, 1 / 30, 1]) expect(edge(ailing)).toBe(tintOf(LOOK, PALETTE, "n", building(ailing)).edge);
  expect(edge(0)).toBe(0x808080);
  const [few, all] = [edge(1 / 30), edge(1)];
  expect(few >> 16).toBeGreaterThan(0x80 + 0x20);
  expect(all >> 16).toBeGreaterThan(few >> 16);
});
