/** The colours of a node, on the map and on the small one. */
import type { Building } from "../model/city";
import { type Colour, nodeColour } from "../model/colours";
import { refusalAt } from "../model/refusals";
import type { Look } from "./look";
import { colour, mix, type Palette } from "./palette";

export interface Tint {
  roof: number;
  front: number;
  edge: number;
}

/** Of a node that refuses or would take what is selected. */
export function litBy({ refusals }: Look, node: string): Colour | undefined {
  return refusals && refusalAt(refusals, node);
}

/** Of a node on the small map: as the legend has it, and where some of it fails as the line around it on the map. */
export function spotOf(look: Look, palette: Palette, id: string, building: Building): number {
  if (building.dark) return colour(palette, `tone-${building.state.tone}`);
  if (look.question === "health" && building.ailing > 0) return ailingEdge(palette, building);
  const name = nodeColour(look.question, building, look.use(id), look.versions, look.failing);
  return name === "plain" ? palette.edge : colour(palette, name);
}

/** More of a colour, the more of it fails. */
function ailingStrength({ ailing }: Building): number {
  return Math.min(0.34, 0.04 + 0.45 * ailing);
}

function ailingEdge(palette: Palette, building: Building): number {
  return mix(palette.edge, colour(palette, "tone-bad"), Math.min(1, 0.35 + ailingStrength(building)));
}

/** Of its roof, its front and the line around it. */
export function tintOf(look: Look, palette: Palette, id: string, building: Building): Tint {
  const name = nodeColour(look.question, building, look.use(id), look.versions, look.failing);
  if (building.dark) {
    // Its operator may have wanted it so.
    const edge = colour(palette, `tone-${building.state.tone}`);
    return { roof: palette.blindRoof, front: palette.blindFront, edge };
  }
  if (look.refusals) {
    const lit = litBy(look, id);
    if (!lit) return { roof: palette.roof, front: palette.front, edge: palette.edge };
    const tint = colour(palette, lit);
    return { roof: mix(palette.roof, tint, 0.22), front: mix(palette.front, tint, 0.18), edge: tint };
  }
  if (look.question === "health" && building.ailing > 0) {
    const tint = colour(palette, "tone-bad");
    const strength = ailingStrength(building);
    return {
      roof: mix(palette.roof, tint, strength),
      front: mix(palette.front, tint, strength * 0.6),
      edge: ailingEdge(palette, building),
    };
  }
  if (name === "plain") return { roof: palette.roof, front: palette.front, edge: palette.edge };
  const tint = colour(palette, name);
  const strength = name.startsWith("tone-") ? 0.1 : name === "blind" ? 0.3 : 0.5;
  return {
    roof: mix(palette.roof, tint, strength),
    front: mix(palette.front, tint, strength * 0.7),
    edge: mix(palette.edge, tint, Math.min(1, strength * 3)),
  };
}
