/**
 * How lucide's icons are made here (vite.config.ts puts this in the place of their own way, which takes some five components
 * for each and is a good part of what a first look costs): one element, of what an icon is and what it was given at first.
 */

const SVG = "http://www.w3.org/2000/svg";

export interface IconData {
  name: string;
  size: number;
  node: readonly (readonly [tag: string, attributes: Record<string, string | number>])[];
  aliases?: readonly string[];
}

interface Props {
  icon: IconData;
  size?: number;
  class?: string;
  [attribute: `aria-${string}`]: string | boolean | undefined;
}

export default function Icon(props: Props): SVGSVGElement {
  const { icon, size = icon.size, class: more = "", ...others } = props;
  const named = [icon.name, ...(icon.aliases ?? [])].map((name) => `lucide-${name}`);
  const svg = made("svg", {
    xmlns: SVG,
    width: size,
    height: size,
    viewBox: `0 0 ${icon.size} ${icon.size}`,
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 2,
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
    class: ["lucide", ...named, "lucide-icon", more].filter(Boolean).join(" "),
    ...others,
  });
  for (const [tag, { key: _, ...attributes }] of icon.node) svg.append(made(tag, attributes));
  return svg as SVGSVGElement;
}

function made(tag: string, attributes: Record<string, unknown>): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, String(value));
  }
  return element;
}
