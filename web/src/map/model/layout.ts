/**
 * Which district a node belongs to and which lot it has. That follows from the nodes alone, in whatever order they came
 * and whoever was there before: one that joins comes last in its district, and where one leaves those after it move up.
 */
import type { Node } from "../../api/types";
import { versionsOf } from "./colours";
import { type Box, centre, DISTRICT, LOT, meets, type Point } from "./geometry";

/** Nodes without the label. */
export const NOWHERE = "";
/** What districts are made by unless somebody chooses. */
export const ZONES = ["zone", "topology.zone", "district", "site", "region"] as const;

/** Width to height of what is laid out, about that of what it is seen in: a window, or a phone that is held upright. */
const WIDE = 1.6;
const NARROW = 0.75;
/** Above a district, for its name, by how many nodes there are: of more the whole is seen from farther away. */
const HEADERS = [
  [64, 44],
  [300, 62],
  [Number.POSITIVE_INFINITY, 86],
] as const;
/** Widths that are tried. */
const WIDTHS = 48;
const YARD = { width: 560, height: 112, gap: 40 } as const;

export interface District {
  name: string;
  box: Box;
  header: number;
  columns: number;
  rows: number;
  /** Node ids by lot; undefined where none stands. */
  lots: (string | undefined)[];
}

export interface Layout {
  by: string;
  /** For a screen that is higher than wide. */
  narrow: boolean;
  districts: District[];
  /** Where Nexus stands, and beside it what waits for a node. */
  yard: Box;
  yardScale: number;
  lotOf: Map<string, Lot>;
  box: Box;
}

export interface Lot extends Point {
  district: number;
  index: number;
}

/** The label by which there is more than one district, of those that are usual; else the first that any node has. */
export function chooseLabel(nodes: Iterable<Node>): string {
  const values = new Map<string, Set<string>>(ZONES.map((label) => [label, new Set()]));
  for (const node of nodes) {
    for (const label of ZONES) {
      const value = node.labels?.[label];
      if (value !== undefined) values.get(label)?.add(value);
    }
  }
  const some = ZONES.filter((label) => values.get(label)?.size);
  return some.find((label) => (values.get(label)?.size ?? 0) > 1) ?? some[0] ?? ZONES[0];
}

export interface Structure {
  /** The label that makes districts unless somebody chooses another. */
  usual: string;
  labels: string[];
  /** Of Omnitide, the one that most nodes have first. */
  versions: string[];
}

export function structureOf(nodes: Iterable<Node>): Structure {
  const all = [...nodes];
  const usual = chooseLabel(all);
  const labels = new Set<string>([usual]);
  for (const node of all) for (const name in node.labels) labels.add(name);
  return { usual, labels: [...labels].sort(), versions: versionsOf(all) };
}

export function layOut(nodes: ReadonlyMap<string, Node>, by: string, narrow = false): Layout {
  const groups = new Map<string, Node[]>();
  for (const node of nodes.values()) {
    const name = node.labels?.[by] ?? NOWHERE;
    const group = groups.get(name);
    if (group) group.push(node);
    else groups.set(name, [node]);
  }
  const header = (HEADERS.find(([most]) => nodes.size <= most) ?? HEADERS[2])[1];
  const districts = [...groups].map(([name, group]) => ground(name, group.sort(byJoining), header, narrow));
  // The largest first, so that rows of districts are of one height; those without a name at the end.
  districts.sort(
    (one, other) =>
      Number(one.name === NOWHERE) - Number(other.name === NOWHERE) ||
      other.box.height - one.box.height ||
      other.box.width - one.box.width ||
      (one.name < other.name ? -1 : 1),
  );
  const [right0, bottom] = pack(districts, narrow ? NARROW : WIDE);
  let right = right0;
  const yardScale = Math.min(4, Math.max(1, right / 1_900));
  const height = YARD.height * yardScale;
  const yard = { x: 0, y: -height - YARD.gap * yardScale, width: YARD.width * yardScale, height };
  right = Math.max(right, yard.width);
  const all = { x: 0, y: yard.y, width: right, height: bottom - yard.y };
  return { by, narrow, districts, yard, yardScale, lotOf: lotsOf(districts), box: all };
}

function byJoining(one: Node, other: Node): number {
  return one.joined_ms - other.joined_ms || (one.id < other.id ? -1 : 1);
}

/** In rows, of the width of all that comes nearest to a window's shape. Width and height of all. */
function pack(districts: District[], aspect: number): [number, number] {
  const sum = districts.reduce((wide, { box }) => wide + box.width + DISTRICT.gap, 0);
  const widest = Math.max(0, ...districts.map(({ box }) => box.width));
  let best: [number, number] = [0, 0];
  let least = Number.POSITIVE_INFINITY;
  let width = widest;
  for (let at = 0; at <= WIDTHS; at += 1) {
    const tried = widest + ((sum - widest) * at) / WIDTHS;
    const [across, down] = shelve(districts, tried);
    const size = Math.max(across / aspect, down);
    if (size >= least) continue;
    least = size;
    width = tried;
    best = [across, down];
  }
  shelve(districts, width);
  return best;
}

function shelve(districts: District[], width: number): [number, number] {
  let x = 0;
  let y = 0;
  let tallest = 0;
  let right = 0;
  for (const { box } of districts) {
    if (x > 0 && x + box.width > width + 1) {
      x = 0;
      y += tallest + DISTRICT.gap;
      tallest = 0;
    }
    box.x = x;
    box.y = y;
    x += box.width + DISTRICT.gap;
    right = Math.max(right, box.x + box.width);
    tallest = Math.max(tallest, box.height);
  }
  return [right, y + tallest];
}

function ground(name: string, group: Node[], header: number, narrow: boolean): District {
  const [columns, rows] = gridOf(group.length, narrow ? NARROW_GROUND : WIDE_GROUND);
  const lots: (string | undefined)[] = new Array(rows * columns).fill(undefined);
  group.forEach((node, index) => {
    lots[index] = node.id;
  });
  const width = columns * LOT.width + 2 * DISTRICT.padding;
  const height = rows * LOT.height + header + DISTRICT.padding;
  return { name, box: { x: 0, y: 0, width, height }, header, columns, rows, lots };
}

/** A little wider than high; where the screen is not, neither. */
const WIDE_GROUND = 1.4;
const NARROW_GROUND = 0.7;
/** How much a lot that stands empty weighs, for each node, against a shape that is not that. */
const SHAPE = 0.3;

/**
 * Columns and rows for so many nodes: hardly any lot more than there are nodes, as ground where nobody stands looks as if
 * somebody were missing; and two columns at least, for the name.
 */
export function gridOf(nodes: number, aspect = WIDE_GROUND): [number, number] {
  let best: [number, number] = [2, 1];
  let least = Number.POSITIVE_INFINITY;
  for (let columns = 2; columns <= Math.max(2, Math.ceil(2 * Math.sqrt(nodes))); columns += 1) {
    const rows = Math.max(1, Math.ceil(nodes / columns));
    const empty = (columns * rows - nodes) / Math.max(1, nodes);
    const cost = empty + SHAPE * Math.abs(Math.log(columns / rows / aspect));
    if (cost >= least) continue;
    least = cost;
    best = [columns, rows];
  }
  return best;
}

export function lotAt(district: District, index: number): Point {
  return {
    x: district.box.x + DISTRICT.padding + (index % district.columns) * LOT.width,
    y: district.box.y + district.header + Math.floor(index / district.columns) * LOT.height,
  };
}

/** Whose lots any of which is within a box: found by where lots are, not by looking through all of them. */
export function lotsIn(layout: Layout, box: Box): string[] {
  const found: string[] = [];
  for (const district of layout.districts) {
    if (!meets(box, district.box)) continue;
    const left = box.x - district.box.x - DISTRICT.padding;
    const top = box.y - district.box.y - district.header;
    const firstRow = Math.max(0, Math.floor(top / LOT.height));
    const lastRow = Math.min(district.rows - 1, Math.floor((top + box.height) / LOT.height));
    const first = Math.max(0, Math.floor(left / LOT.width));
    const last = Math.min(district.columns - 1, Math.floor((left + box.width) / LOT.width));
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let column = first; column <= last; column += 1) {
        const id = district.lots[row * district.columns + column];
        if (id !== undefined) found.push(id);
      }
    }
  }
  return found;
}

/**
 * How far the node went that was nearest to the middle of what is seen, of those that are still there: of `first` if any of
 * them is seen.
 */
export function shifted(before: Layout, now: Layout, view: Box, first: ReadonlySet<string> = new Set()): Point {
  const middle = centre(view);
  const all = lotsIn(before, view);
  const chosen = all.filter((id) => first.has(id) && now.lotOf.has(id));
  let by = { x: 0, y: 0 };
  let least = Number.POSITIVE_INFINITY;
  for (const id of chosen.length ? chosen : all) {
    const [was, is] = [before.lotOf.get(id), now.lotOf.get(id)];
    if (!was || !is) continue;
    const far = Math.hypot(was.x + LOT.width / 2 - middle.x, was.y + LOT.height / 2 - middle.y);
    if (far >= least) continue;
    least = far;
    by = { x: is.x - was.x, y: is.y - was.y };
  }
  return by;
}

function lotsOf(districts: District[]): Map<string, Lot> {
  const found = new Map<string, Lot>();
  districts.forEach((district, at) => {
    district.lots.forEach((id, index) => {
      if (id !== undefined) found.set(id, { ...lotAt(district, index), district: at, index });
    });
  });
  return found;
}
