/**
 * The fabric as a city: each node a building with a lot, each instance a unit on the roof of its node, or beside Nexus as
 * long as it has none. Brought up to date from the objects of the store, of which each is another when it changes; what is
 * as it was costs one comparison.
 */
import type { Agent, Instance, Job, Node } from "../../api/types";
import { instanceState, nodeState, type State, type Tone } from "../../words/states";
import { type Box, DECK, type Point, roofOf, sizeOf } from "./geometry";
import { type Layout, type Lot, layOut } from "./layout";
import { gridFor, MOST, Slots, type Spot, spotOf } from "./slots";

export interface Sight {
  nodes: ReadonlyMap<string, Node>;
  instances: ReadonlyMap<string, Instance>;
  agents: ReadonlyMap<string, Agent>;
  jobs: ReadonlyMap<string, Job>;
  /** The label that makes districts. */
  by: string;
}

export interface Building {
  node: Node;
  lot: Lot;
  size: number;
  roof: Box;
  state: State;
  /** Nobody knows what goes on in it. */
  dark: boolean;
  slots: Slots;
  /** The share of its units that fail. */
  ailing: number;
}

export interface Unit {
  instance: Instance;
  driver: string;
  tone: Tone;
  /** Whether its workload has a newer version. */
  old: boolean;
  /** The node that it stands on; empty: beside Nexus. */
  home: string;
  /** Undefined: there is no room, and it is only counted. */
  spot: Spot | undefined;
}

export type Motion =
  | { kind: "travel"; unit: string; from: Point }
  | { kind: "pulse"; unit: string; tone: Tone }
  | { kind: "fall"; node: string };

export interface Changes {
  layout: boolean;
  nodes: Set<string>;
  /** Those that are gone as well. */
  units: Set<string>;
  motions: Motion[];
}

export interface City {
  layout: Layout;
  buildings: Map<string, Building>;
  units: Map<string, Unit>;
  yard: Slots;
  /** Whether there was anything to compare with. */
  seen: boolean;
  workloads: Map<string, Agent | Job>;
  unitsOf: Map<string, Set<string>>;
}

/** What has ended as it should stands nowhere. */
const GONE = new Set(["stopped", "succeeded"]);
const WITHOUT_NODE = new Set(["pending", "placed"]);
/** More at once is not news but another picture: it is shown without motion. */
export const MOTIONS = 400;

export function emptyCity(by: string): City {
  return {
    layout: layOut(new Map(), by),
    buildings: new Map(),
    units: new Map(),
    yard: new Slots(),
    seen: false,
    workloads: new Map(),
    unitsOf: new Map(),
  };
}

/** Bring the city up to date, and tell what is another. */
export function advance(city: City, sight: Sight): Changes {
  const changes: Changes = { layout: false, nodes: new Set(), units: new Set(), motions: [] };
  const crowded = new Set<string>();
  takeNodes(city, sight, changes, crowded);
  const stale = takeWorkloads(city, sight);
  takeInstances(city, sight, stale, changes, crowded);
  for (const home of crowded) seat(city, home, changes);
  feel(city, changes, crowded);
  if (!city.seen || changes.motions.length > MOTIONS) changes.motions = [];
  city.seen ||= sight.nodes.size > 0;
  return changes;
}

function takeNodes(city: City, sight: Sight, changes: Changes, crowded: Set<string>): void {
  let moved = city.layout.by !== sight.by || city.buildings.size !== sight.nodes.size;
  for (const [id, node] of sight.nodes) {
    const had = city.buildings.get(id);
    if (had?.node === node) continue;
    changes.nodes.add(id);
    const before = had?.node.labels?.[sight.by];
    if (!had || before !== node.labels?.[sight.by]) moved = true;
    const state = nodeState(node);
    const dark = state.tone === "bad";
    if (had && dark && !had.dark) changes.motions.push({ kind: "fall", node: id });
    const size = sizeOf(node.cpu_milli ?? 0);
    const lot = had?.lot ?? { x: 0, y: 0, district: 0, index: 0 };
    if (had && had.size !== size) crowded.add(id);
    city.buildings.set(id, {
      node,
      lot,
      size,
      state,
      dark,
      roof: roofOf(lot, size),
      slots: had?.slots ?? new Slots(),
      ailing: had?.ailing ?? 0,
    });
  }
  for (const id of city.buildings.keys()) {
    if (sight.nodes.has(id)) continue;
    moved = true;
    changes.nodes.add(id);
    city.buildings.delete(id);
  }
  if (!moved) return;
  changes.layout = true;
  city.layout = layOut(sight.nodes, sight.by, city.layout);
  crowded.add("");
  for (const [id, building] of city.buildings) {
    const lot = city.layout.lotOf.get(id);
    if (!lot) throw new Error(`node ${id} has no lot`);
    if (lot.x === building.lot.x && lot.y === building.lot.y && building.lot.district === lot.district) continue;
    changes.nodes.add(id);
    crowded.add(id);
    building.lot = lot;
    building.roof = roofOf(lot, building.size);
  }
}

/** The workloads of which something that shows in their instances is another. */
function takeWorkloads(city: City, sight: Sight): Set<string> {
  const stale = new Set<string>();
  for (const table of [sight.agents, sight.jobs] as ReadonlyMap<string, Agent | Job>[]) {
    for (const [id, workload] of table) {
      const had = city.workloads.get(id);
      if (had === workload) continue;
      if (had?.driver !== workload.driver || versionOf(had) !== versionOf(workload)) stale.add(id);
      city.workloads.set(id, workload);
    }
  }
  if (city.workloads.size > sight.agents.size + sight.jobs.size) {
    for (const id of city.workloads.keys()) {
      if (!sight.agents.has(id) && !sight.jobs.has(id)) city.workloads.delete(id);
    }
  }
  return stale;
}

function versionOf(workload: Agent | Job): number {
  return "version" in workload ? workload.version : 0;
}

/** How many of its units fail, for each building of which any is another. */
function feel(city: City, changes: Changes, crowded: Set<string>): void {
  const homes = new Set(crowded);
  for (const id of changes.units) homes.add(city.units.get(id)?.home ?? "");
  for (const home of homes) {
    const building = city.buildings.get(home);
    if (!building) continue;
    let bad = 0;
    for (const id of building.slots.ids()) if (city.units.get(id)?.tone === "bad") bad += 1;
    const ailing = building.slots.size ? bad / building.slots.size : 0;
    if (ailing === building.ailing) continue;
    building.ailing = ailing;
    changes.nodes.add(home);
  }
}

/** Where an instance stands: a node's id, or empty for beside Nexus. Undefined: nowhere. */
function homeOf(city: City, instance: Instance): string | undefined {
  if (GONE.has(instance.status)) return undefined;
  if (instance.node_id && city.buildings.has(instance.node_id)) return instance.node_id;
  // Others ended, or are lost, with a node that has gone from the fabric.
  return WITHOUT_NODE.has(instance.status) ? "" : undefined;
}

function takeInstances(city: City, sight: Sight, stale: Set<string>, changes: Changes, crowded: Set<string>): void {
  let shown = 0;
  const come: string[] = [];
  for (const [id, instance] of sight.instances) {
    const home = homeOf(city, instance);
    if (home === undefined) continue;
    shown += 1;
    const had = city.units.get(id);
    if (had?.instance === instance && had.home === home && !stale.has(instance.workload_id)) continue;
    changes.units.add(id);
    const workload = city.workloads.get(instance.workload_id);
    const unit: Unit = {
      instance,
      driver: workload?.driver ?? "",
      tone: instanceState(instance).tone,
      old: workload !== undefined && versionOf(workload) > (instance.version ?? 0),
      home,
      spot: had?.spot,
    };
    city.units.set(id, unit);
    if (had?.home !== home) crowded.add(home);
    if (!had) {
      ofWorkload(city, unit).add(id);
      come.push(id);
    } else if (had.home !== home) {
      slotsOf(city, had.home)?.leave(id);
      crowded.add(had.home);
      if (had.spot) changes.motions.push({ kind: "travel", unit: id, from: { x: had.spot.x, y: had.spot.y } });
    } else if ((had.instance.attempt ?? 0) < (instance.attempt ?? 0)) {
      changes.motions.push({ kind: "pulse", unit: id, tone: "busy" });
    } else if (had.tone !== "bad" && unit.tone === "bad") {
      changes.motions.push({ kind: "pulse", unit: id, tone: "bad" });
    }
  }
  // Those that take the place of others come from there: before the others are forgotten.
  for (const id of city.seen ? come : []) {
    const motion = origin(city, id);
    if (motion) changes.motions.push(motion);
  }
  if (city.units.size === shown) return;
  for (const [id, unit] of city.units) {
    const now = sight.instances.get(id);
    if (now && homeOf(city, now) !== undefined) continue;
    changes.units.add(id);
    slotsOf(city, unit.home)?.leave(id);
    crowded.add(unit.home);
    city.units.delete(id);
    const ids = ofWorkload(city, unit);
    ids.delete(id);
    if (!ids.size) city.unitsOf.delete(unit.instance.workload_id);
  }
}

function ofWorkload(city: City, unit: Unit): Set<string> {
  let ids = city.unitsOf.get(unit.instance.workload_id);
  if (!ids) {
    ids = new Set();
    city.unitsOf.set(unit.instance.workload_id, ids);
  }
  return ids;
}

/** From the one that it takes the place of, if that stands on another node; else from Nexus. */
function origin(city: City, id: string): Motion | undefined {
  const unit = city.units.get(id);
  if (!unit?.home) return undefined;
  for (const other of city.unitsOf.get(unit.instance.workload_id) ?? []) {
    const one = city.units.get(other);
    if (other === id || !one?.spot || one.instance.slot !== unit.instance.slot) continue;
    if (one.home === unit.home) return { kind: "pulse", unit: id, tone: "busy" };
    return { kind: "travel", unit: id, from: { x: one.spot.x, y: one.spot.y } };
  }
  return { kind: "travel", unit: id, from: nexusAt(city.layout) };
}

export function slotsOf(city: City, home: string): Slots | undefined {
  return home ? city.buildings.get(home)?.slots : city.yard;
}

/** Give all of one place their spots. The order of ids is the order in which a page that is opened anew seats them. */
function seat(city: City, home: string, changes: Changes): void {
  const slots = slotsOf(city, home);
  if (!slots) return;
  const come: string[] = [];
  for (const id of changes.units) {
    const unit = city.units.get(id);
    if (unit?.home === home && slots.get(id) === undefined) come.push(id);
  }
  come.sort((one, other) => bySeniority(city, one, other));
  for (const id of come) slots.take(id);
  const deck = deckOf(city, home);
  const grid = home ? gridFor(slots.reach) : yardGrid(slots.reach);
  for (const id of slots.ids()) {
    const unit = city.units.get(id);
    if (!unit) continue;
    const spot = spotOf(deck, grid, slots.get(id) ?? MOST);
    if (unit.spot && spot && unit.spot.x === spot.x && unit.spot.y === spot.y && unit.spot.size === spot.size) continue;
    unit.spot = spot;
    changes.units.add(id);
  }
}

function bySeniority(city: City, one: string, other: string): number {
  const first = city.units.get(one)?.instance.created_ms ?? 0;
  return first - (city.units.get(other)?.instance.created_ms ?? 0) || (one < other ? -1 : 1);
}

function yardGrid(reach: number): { columns: number; rows: number } {
  const rows = reach <= 24 ? 2 : reach <= 96 ? 4 : 8;
  return { rows, columns: rows * 6 };
}

/** The ground that the units of a place stand on. */
export function deckOf(city: City, home: string): Box {
  if (home) {
    const roof = city.buildings.get(home)?.roof ?? { x: 0, y: 0, width: 0, height: 0 };
    return { x: roof.x + DECK.x, y: roof.y + DECK.y, width: DECK.width, height: DECK.height };
  }
  const { yard, yardScale: scale } = city.layout;
  return {
    x: yard.x + 150 * scale,
    y: yard.y + 34 * scale,
    width: yard.width - 166 * scale,
    height: yard.height - 46 * scale,
  };
}

export function gridOf(city: City, home: string): { columns: number; rows: number } {
  const reach = slotsOf(city, home)?.reach ?? 0;
  return home ? gridFor(reach) : yardGrid(reach);
}

/** Where Nexus stands. */
export function nexusAt(layout: Layout): Point {
  return { x: layout.yard.x + 72 * layout.yardScale, y: layout.yard.y + layout.yard.height / 2 };
}
