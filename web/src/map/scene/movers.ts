/** Motion: units on their way, rings around what happened. All of it ends by itself, and nothing is known by it alone. */
import type { Container, Shader } from "pixi.js";
import type { City, Motion } from "../model/city";
import { unitColour } from "../model/colours";
import { buildingOf, centre, type Point } from "../model/geometry";
import type { Drawn } from "./block";
import { colour } from "./palette";
import { Quads } from "./quads";

const TRAVEL_MS = 1_100;
const PULSE_MS = 1_000;
const FALL_MS = 1_600;
/** Units that set out together follow each other. */
const STAGGER_MS = 22;
const STAGGER_MOST_MS = 900;
/** Steps of a trail; the shorter, the more are on their way. */
const TRAIL = 9;
const SHORT_TRAIL = 3;
const MANY = 60;
/** On their way at once, each with its trail, and rings: more than this is not seen apart. */
const JOURNEYS = 400;
const MOST = JOURNEYS * (SHORT_TRAIL + 3);
const TRAIL_PART = 0.2;

interface Journey {
  unit: string;
  from: Point;
  startMs: number;
}

interface Ring {
  unit: string;
  node: string;
  tone: "busy" | "bad";
  startMs: number;
}

export class Movers {
  readonly away = new Set<string>();
  readonly #quads: Quads;
  #journeys: Journey[] = [];
  #rings: Ring[] = [];

  constructor(shader: Shader, parent: Container) {
    this.#quads = new Quads(shader, parent);
    this.#quads.clear(MOST);
  }

  get busy(): boolean {
    return this.#journeys.length > 0 || this.#rings.length > 0;
  }

  add(motions: readonly Motion[], nowMs: number): void {
    let wait = 0;
    for (const motion of motions) {
      const startMs = nowMs + Math.min(wait, STAGGER_MOST_MS);
      if (motion.kind === "travel") {
        if (this.away.has(motion.unit)) this.#journeys = this.#journeys.filter((one) => one.unit !== motion.unit);
        else if (this.#journeys.length >= JOURNEYS) continue;
        this.#journeys.push({ unit: motion.unit, from: motion.from, startMs });
        this.away.add(motion.unit);
        wait += STAGGER_MS;
      } else if (this.#rings.length >= JOURNEYS) {
      } else if (motion.kind === "pulse") {
        this.#rings.push({ unit: motion.unit, node: "", tone: motion.tone === "bad" ? "bad" : "busy", startMs });
      } else {
        this.#rings.push({ unit: "", node: motion.node, tone: "bad", startMs });
      }
    }
  }

  /** All at once where it was going to. */
  stop(): string[] {
    const arrived = [...this.away];
    this.#journeys = [];
    this.#rings = [];
    this.away.clear();
    this.#show([]);
    return arrived;
  }

  /** Draw the moment; the units that have arrived by it. */
  advance(drawn: Drawn, nowMs: number, zoom: number): string[] {
    const arrived: string[] = [];
    const shown: Sprite[] = [];
    const { city } = drawn.look;
    const trail = this.#journeys.length > MANY ? SHORT_TRAIL : TRAIL;
    this.#journeys = this.#journeys.filter((journey) => {
      const part = (nowMs - journey.startMs) / TRAVEL_MS;
      const unit = city.units.get(journey.unit);
      if (part < 1 && unit?.spot) {
        if (part > 0) travel(drawn, journey, part, zoom, trail, shown);
        return true;
      }
      this.away.delete(journey.unit);
      arrived.push(journey.unit);
      return false;
    });
    this.#rings = this.#rings.filter((ring) => {
      const part = (nowMs - ring.startMs) / (ring.node ? FALL_MS : PULSE_MS);
      if (part >= 1) return false;
      const place = part > 0 ? around(city, ring) : undefined;
      if (place) {
        const size = place.size * (0.9 + 1.5 * part) + 4 / zoom;
        const tint = colour(drawn.palette, `tone-${ring.tone}`);
        shown.push({ texture: "ring", x: place.x, y: place.y, size, tint, alpha: (1 - part) ** 1.5 });
      }
      return true;
    });
    this.#show(shown, drawn);
    return arrived;
  }

  #show(shown: Sprite[], drawn?: Drawn): void {
    const count = Math.min(MOST, shown.length);
    this.#quads.show(drawn ? count : 0);
    if (!drawn) return;
    for (let index = 0; index < count; index += 1) {
      const sprite = shown[index];
      if (!sprite) break;
      const { x, y, size } = sprite;
      const texture = drawn.atlas[sprite.texture];
      this.#quads.set(index, texture, x - size / 2, y - size / 2, size, size, sprite.tint, sprite.alpha);
    }
    this.#quads.commit();
  }

  destroy(): void {
    this.#quads.destroy();
  }
}

interface Sprite {
  texture: "dot" | "ring" | "glow";
  x: number;
  y: number;
  size: number;
  tint: number;
  alpha: number;
}

function around(city: City, ring: Ring): { x: number; y: number; size: number } | undefined {
  if (ring.unit) return city.units.get(ring.unit)?.spot;
  const building = city.buildings.get(ring.node);
  if (!building) return undefined;
  const box = buildingOf(building.lot, building.size);
  return { ...centre(box), size: box.width };
}

/** Along an arc, with a trail that fades. */
function travel(drawn: Drawn, journey: Journey, part: number, zoom: number, trail: number, shown: Sprite[]): void {
  const unit = drawn.look.city.units.get(journey.unit);
  if (!unit?.spot) return;
  const tint = colour(drawn.palette, unitColour(drawn.look.question, unit, drawn.look.failing));
  const size = Math.max(unit.spot.size * 0.8, 5 / zoom);
  for (let step = trail; step >= 0; step -= 1) {
    const at = part - (TRAIL_PART * step) / trail;
    if (at < 0) continue;
    const place = onArc(journey.from, unit.spot, ease(at));
    const fade = 1 - step / (trail + 1);
    const wide = size * (step ? 0.25 + 0.5 * fade : 1);
    shown.push({ texture: "dot", ...place, size: wide, tint, alpha: step ? 0.45 * fade : 1 });
    if (!step) shown.push({ texture: "glow", ...place, size: size * 3.2, tint, alpha: 0.6 });
  }
}

function ease(part: number): number {
  return part < 0.5 ? 2 * part * part : 1 - (-2 * part + 2) ** 2 / 2;
}

export function onArc(from: Point, to: Point, part: number): Point {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const lift = Math.min(160, Math.hypot(dx, dy) * 0.18);
  const bend = 4 * part * (1 - part) * lift;
  return { x: from.x + dx * part, y: from.y + dy * part - bend };
}
