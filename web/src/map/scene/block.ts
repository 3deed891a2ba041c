/**
 * Some neighbouring lots as a few batches of sprites. A change makes one block anew and not the whole map: that is some
 * hundred sprites, reused.
 */
import { Container, Particle, ParticleContainer, type Texture } from "pixi.js";
import { type Building, slotsOf, type Unit } from "../model/city";
import { nodeColour, shapeOf, shareOf, unitColour, usedOf } from "../model/colours";
import { buildingOf, FRONTS, ROOF } from "../model/geometry";
import { type Atlas, DETAIL, fillingOf, RING, SPILL, UNIT_FILL, UNIT_PX, WINDOWS, windowsOf } from "./atlas";
import type { Look } from "./look";
import { colour, mix, type Palette } from "./palette";

/** From here on a machine is as good as full. */
const HOT = 0.92;
const STATIC = { vertex: false, position: false, rotation: false, uvs: false, color: false };

export interface Drawn {
  atlas: Atlas;
  palette: Palette;
  look: Look;
  /** Units on their way: they do not stand where they are going to. */
  away: ReadonlySet<string>;
}

/** One batch: sprites are taken anew for each picture. */
class Batch {
  readonly container = new ParticleContainer({ dynamicProperties: STATIC });
  #used = 0;
  readonly #all: Particle[] = [];

  begin(): void {
    this.#used = 0;
  }

  add(texture: Texture, x: number, y: number, scaleX: number, scaleY: number, tint: number, alpha = 1): void {
    let particle = this.#all[this.#used];
    if (!particle) {
      particle = new Particle({ texture });
      this.#all.push(particle);
    }
    this.#used += 1;
    particle.texture = texture;
    particle.x = x;
    particle.y = y;
    particle.scaleX = scaleX;
    particle.scaleY = scaleY;
    particle.tint = tint;
    particle.alpha = alpha;
  }

  end(): void {
    this.#all.length = this.#used;
    this.container.particleChildren = this.#all;
    this.container.renderable = this.#used > 0;
    if (this.#used) this.container.update();
  }
}

export class Block {
  readonly root = new Container();
  readonly #under = new Batch();
  readonly #glow = new Batch();
  readonly #bodies = new Batch();
  readonly #lights = new Batch();
  readonly #units = new Batch();
  readonly #marks = new Batch();

  /** `nodes`: of these lots; an empty one is the ground beside Nexus. */
  constructor(
    readonly nodes: readonly string[],
    below: Container,
    above: Container,
  ) {
    below.addChild(this.#under.container, this.#glow.container);
    this.root.addChild(this.#bodies.container, this.#lights.container, this.#units.container, this.#marks.container);
    above.addChild(this.root);
  }

  drawBodies({ atlas, palette, look }: Drawn): void {
    this.#under.begin();
    this.#bodies.begin();
    const small = 1 / DETAIL;
    for (const id of this.nodes) {
      const building = look.city.buildings.get(id);
      if (!building) continue;
      const { roof, size, dark } = building;
      const front = atlas.fronts[size];
      const shadow = atlas.shadows[size];
      if (!front || !shadow) continue;
      const tint = tintOf(look, palette, id, building);
      const lit = dark ? 0.25 : 1;
      this.#under.add(shadow, roof.x - SPILL / 2, roof.y - SPILL / 2 + 7, small, small, palette.shadow, 0.75 * lit);
      this.#bodies.add(front, roof.x, roof.y + ROOF.height, small, small, tint.front);
      this.#bodies.add(atlas.roof, roof.x, roof.y, small, small, tint.roof);
      if (building.node.scheduling !== "open" && !dark) {
        this.#bodies.add(atlas.hatch, roof.x, roof.y, small, small, colour(palette, "tone-wait"), 0.2);
      }
      this.#bodies.add(atlas.edge, roof.x, roof.y, small, small, tint.edge, dark ? 0.55 : 0.9);
    }
    this.#under.end();
    this.#bodies.end();
  }

  drawLights({ atlas, palette, look }: Drawn): void {
    this.#glow.begin();
    this.#lights.begin();
    this.#glow.container.blendMode = palette.night ? "add" : "normal";
    const small = 1 / DETAIL;
    const aside = (ROOF.width - 2 * WINDOWS.columns * WINDOWS.pitch) / 3;
    for (const id of this.nodes) {
      const building = look.city.buildings.get(id);
      if (!building) continue;
      const { roof, size, node, dark } = building;
      const windows = atlas.windows[size];
      const all = windowsOf(size);
      const unlit = windows?.[all];
      if (!windows || !unlit) continue;
      const y = roof.y + ROOF.height;
      const use = dark ? undefined : look.use(id);
      const shares = [
        [shareOf(use?.cpuMilli, node.cpu_milli), palette.cpu],
        [shareOf(use?.memoryBytes, node.memory_bytes), palette.memory],
      ] as const;
      shares.forEach(([share, light], index) => {
        const x = roof.x + aside + index * (aside + WINDOWS.columns * WINDOWS.pitch);
        this.#lights.add(unlit, x, y, small, small, palette.unlit, dark ? 0.4 : 1);
        const lit = windows[share > 0 ? Math.max(1, Math.round(share * all)) : 0];
        if (use && lit && share > 0) this.#lights.add(lit, x, y, small, small, share > HOT ? palette.hot : light);
      });
      if (!use) continue;
      const share = usedOf(node, use);
      const box = buildingOf(building.lot, size);
      const reach = 1.5;
      this.#glow.add(
        atlas.glow,
        box.x - (box.width * (reach - 1)) / 2,
        box.y - (box.height * (reach - 1)) / 2 + FRONTS[0],
        (box.width * reach) / 128,
        (box.height * reach) / 128,
        share > HOT ? palette.hot : mix(palette.memory, palette.cpu, shareOf(use.cpuMilli, node.cpu_milli)),
        (palette.night ? 0.9 : 0.4) * share ** 1.4,
      );
    }
    this.#glow.end();
    this.#lights.end();
  }

  drawUnits({ atlas, palette, look, away }: Drawn): void {
    this.#units.begin();
    for (const home of this.nodes) {
      const building = look.city.buildings.get(home);
      for (const id of slotsOf(look.city, home)?.ids() ?? []) {
        const unit = look.city.units.get(id);
        if (!unit?.spot || away.has(id)) continue;
        const texture = textureOf(atlas, unit);
        if (!texture) continue;
        const scale = (unit.spot.size * UNIT_SHARE) / (UNIT_PX * UNIT_FILL);
        const half = (UNIT_PX * scale) / 2;
        const tint = colour(palette, unitColour(look.question, unit));
        const alpha = building?.dark ? 0.5 : 1;
        this.#units.add(texture, unit.spot.x - half, unit.spot.y - half, scale, scale, tint, alpha);
      }
    }
    this.#units.end();
  }

  /** What refuses, and which instances are selected. */
  drawMarks({ atlas, palette, look }: Drawn): void {
    this.#marks.begin();
    const small = 1 / DETAIL;
    const { selection, refusals } = look;
    for (const id of this.nodes) {
      const building = look.city.buildings.get(id);
      if (building) {
        const outline = atlas.outlines[building.size];
        const { roof } = building;
        const mark = (tint: number, alpha: number) => {
          if (outline) this.#marks.add(outline, roof.x - RING, roof.y - RING, small, small, tint, alpha);
        };
        const reasons = refusals?.nodes.get(id);
        if (reasons) mark(colour(palette, reasons.length ? "tone-bad" : "tone-good"), 0.95);
      }
      if (!selection.instances.size) continue;
      for (const one of slotsOf(look.city, id)?.ids() ?? []) {
        const spot = selection.instances.has(one) ? look.city.units.get(one)?.spot : undefined;
        if (!spot) continue;
        const scale = (spot.size * 1.06) / UNIT_PX;
        const half = (UNIT_PX * scale) / 2;
        this.#marks.add(atlas.halo, spot.x - half, spot.y - half, scale, scale, palette.accent);
      }
    }
    this.#marks.end();
  }

  show(shown: boolean): void {
    this.root.visible = shown;
    this.#under.container.visible = shown;
    this.#glow.container.visible = shown;
  }

  destroy(): void {
    this.root.destroy({ children: true });
    this.#under.container.destroy();
    this.#glow.container.destroy();
  }
}

/** How much of its square a unit fills. */
export const UNIT_SHARE = 0.74;

export function textureOf(atlas: Atlas, unit: Unit): Texture | undefined {
  return atlas.units.get(`${shapeOf(unit.driver)}-${fillingOf(unit.tone)}`);
}

function tintOf(
  look: Look,
  palette: Palette,
  id: string,
  building: Building,
): { roof: number; front: number; edge: number } {
  const name = nodeColour(look.question, building, look.use(id), look.versions);
  const refused = look.refusals?.nodes.get(id);
  if (building.dark) return { roof: palette.blindRoof, front: palette.blindFront, edge: colour(palette, "tone-bad") };
  if (refused) {
    const tint = colour(palette, refused.length ? "tone-bad" : "tone-good");
    return { roof: mix(palette.roof, tint, 0.22), front: mix(palette.front, tint, 0.18), edge: tint };
  }
  if (look.question === "health" && building.ailing > 0) {
    const tint = colour(palette, "tone-bad");
    const strength = Math.min(0.34, 0.04 + 0.45 * building.ailing);
    return {
      roof: mix(palette.roof, tint, strength),
      front: mix(palette.front, tint, strength * 0.6),
      edge: mix(palette.edge, tint, Math.min(1, 0.35 + strength)),
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
