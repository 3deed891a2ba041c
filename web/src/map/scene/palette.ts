/** The map's colours as numbers, read from the panel's own style, so that both are of one theme. */
import { type Colour, KINDS, STEPS } from "../model/colours";

export interface Palette {
  /** Whether light can be added to what is below; on a light ground it would not be seen. */
  night: boolean;
  ground: number;
  plate: number;
  plateLine: number;
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

/** By which of the panel's style each number of the palette goes. */
const NUMBERS = {
  ground: "--map-ground",
  plate: "--map-plate",
  plateLine: "--map-plate-line",
  roof: "--map-roof",
  front: "--map-front",
  edge: "--map-edge",
  shadow: "--map-shadow",
  unlit: "--map-unlit",
  cpu: "--map-cpu",
  memory: "--map-memory",
  hot: "--map-hot",
  blindRoof: "--map-blind-roof",
  blindFront: "--map-blind-front",
  accent: "--accent",
} as const;
const TEXTS = {
  text: "--text",
  soft: "--text-soft",
  faint: "--text-faint",
  onDark: "--map-on-dark",
  halo: "--map-halo",
} as const;
const KIND_NAMES = Array.from({ length: KINDS }, (_, index) => `--map-kind-${index}`);
const WANTED: readonly string[] = [
  ...Object.values(NUMBERS),
  ...Object.values(TEXTS),
  ...TONES.flatMap((tone) => [`--${tone}`, `--map-${tone}`]),
  ...KIND_NAMES,
  ...["--map-plain", "--map-blind", "--map-low", "--map-mid", "--map-high"],
];

/** All at once: each that is asked for after another was set has the browser work out its style anew. */
function readColours(host: HTMLElement): Map<string, { css: string; value: number }> {
  const group = document.createElement("i");
  group.hidden = true;
  for (const name of WANTED) {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    group.append(probe);
  }
  host.append(group);
  const texts = Array.from(group.children, (probe) => getComputedStyle(probe).color);
  group.remove();
  const canvas = document.createElement("canvas");
  canvas.width = WANTED.length;
  canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  texts.forEach((css, at) => {
    if (!context) return;
    context.fillStyle = css;
    context.fillRect(at, 0, 1, 1);
  });
  const data = context?.getImageData(0, 0, WANTED.length, 1).data;
  return new Map(
    WANTED.map((name, at) => {
      const [red = 0, green = 0, blue = 0] = data?.subarray(4 * at, 4 * at + 3) ?? [0x80, 0x80, 0x80];
      return [name, { css: texts[at] ?? "", value: (red << 16) | (green << 8) | blue }];
    }),
  );
}

export function readPalette(host: HTMLElement): Palette {
  const found = readColours(host);
  const css = (name: string): string => found.get(name)?.css ?? "";
  const number = (name: string): number => found.get(name)?.value ?? 0x808080;
  const colours: Record<string, number> = { plain: number("--map-plain"), blind: number("--map-blind") };
  for (const tone of TONES) colours[`tone-${tone}`] = number(`--map-${tone}`);
  for (let index = 0; index < KINDS; index += 1) colours[`kind-${index}`] = number(KIND_NAMES[index] ?? "");
  const stops = [number("--map-low"), number("--map-mid"), number("--map-high")] as const;
  for (let at = 0; at < STEPS; at += 1) {
    const share = (2 * at) / (STEPS - 1);
    colours[`scale-${at}`] = share <= 1 ? mix(stops[0], stops[1], share) : mix(stops[1], stops[2], share - 1);
  }
  const numbers = each(NUMBERS, number);
  return {
    ...numbers,
    ...each(TEXTS, css),
    night: brightness(numbers.ground) < 0.5,
    colours,
    tones: Object.fromEntries(TONES.map((tone) => [tone, css(`--${tone}`)])),
  };
}

function each<K extends string, T>(names: Record<K, string>, read: (name: string) => T): Record<K, T> {
  return Object.fromEntries(Object.entries<string>(names).map(([key, name]) => [key, read(name)])) as Record<K, T>;
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
