/** The map's colours as numbers, read from the panel's own style, so that both are of one theme. */
import { type Colour, KINDS, STEPS } from "../model/colours";

export interface Palette {
  /** Whether light can be added to what is below; on a light ground it would not be seen. */
  night: boolean;
  ground: number;
  plate: number;
  plateLine: number;
  lot: number;
  roof: number;
  front: number;
  edge: number;
  shadow: number;
  unlit: number;
  cpu: number;
  memory: number;
  hot: number;
  blindRoof: number;
  blindFront: number;
  accent: number;
  colours: Record<string, number>;
  text: string;
  soft: string;
  faint: string;
  /** On a building that is dark. */
  onDark: string;
  halo: string;
  tones: Record<string, string>;
}

const TONES = ["good", "busy", "wait", "bad", "unknown", "off"] as const;

export function readPalette(host: HTMLElement): Palette {
  const probe = document.createElement("i");
  probe.hidden = true;
  host.append(probe);
  const canvas = document.createElement("canvas");
  canvas.width = 1;
  canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const css = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const number = (name: string): number => {
    if (!context) return 0x808080;
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = css(name);
    context.fillRect(0, 0, 1, 1);
    const [red = 0, green = 0, blue = 0] = context.getImageData(0, 0, 1, 1).data;
    return (red << 16) | (green << 8) | blue;
  };
  const colours: Record<string, number> = { plain: number("--map-plain"), blind: number("--map-blind") };
  for (const tone of TONES) colours[`tone-${tone}`] = number(`--map-${tone}`);
  for (let index = 0; index < KINDS; index += 1) colours[`kind-${index}`] = number(`--map-kind-${index}`);
  const stops = [number("--map-low"), number("--map-mid"), number("--map-high")] as const;
  for (let at = 0; at < STEPS; at += 1) {
    const share = (2 * at) / (STEPS - 1);
    colours[`scale-${at}`] = share <= 1 ? mix(stops[0], stops[1], share) : mix(stops[1], stops[2], share - 1);
  }
  const ground = number("--map-ground");
  const palette: Palette = {
    night: brightness(ground) < 0.5,
    ground,
    plate: number("--map-plate"),
    plateLine: number("--map-plate-line"),
    lot: number("--map-lot"),
    roof: number("--map-roof"),
    front: number("--map-front"),
    edge: number("--map-edge"),
    shadow: number("--map-shadow"),
    unlit: number("--map-unlit"),
    cpu: number("--map-cpu"),
    memory: number("--map-memory"),
    hot: number("--map-hot"),
    blindRoof: number("--map-blind-roof"),
    blindFront: number("--map-blind-front"),
    accent: number("--accent"),
    colours,
    text: css("--text"),
    soft: css("--text-soft"),
    faint: css("--text-faint"),
    onDark: css("--map-on-dark"),
    halo: css("--map-halo"),
    tones: Object.fromEntries(TONES.map((tone) => [tone, css(`--${tone}`)])),
  };
  probe.remove();
  return palette;
}

export function colour(palette: Palette, name: Colour): number {
  return palette.colours[name] ?? palette.colours.plain ?? 0x808080;
}

export function mix(one: number, other: number, share: number): number {
  const channel = (shift: number) => {
    const from = (one >> shift) & 255;
    return Math.round(from + (((other >> shift) & 255) - from) * share) << shift;
  };
  return channel(16) | channel(8) | channel(0);
}

function brightness(value: number): number {
  return (0.3 * ((value >> 16) & 255) + 0.59 * ((value >> 8) & 255) + 0.11 * (value & 255)) / 255;
}

export function hex(value: number): string {
  return `#${value.toString(16).padStart(6, "0")}`;
}
