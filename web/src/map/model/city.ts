/**
 * The fabric as a city: each node a building with a lot, each instance a unit on the roof of its node, or beside Nexus as
 * long as it has none. Brought up to date from the objects of the store, of which each is another when it changes; what is
 * as it was costs one comparison.
 */
import type { Agent, Instance, Job, Node } from "../../api/types";
import { instanceState, isSilent, nodeState, type State, type Tone } from "../../words/states";
import { type Shape, shapeOf } from "./colours";
import { type Box, type Point, roofOf, sizeOf } from "./geometry";
import { type Layout, type Lot, layOut } from "./layout";
import { nexusAt, PART, seat, slotsOf } from "./seating";
import { Slots, type Spot } from "./slots";
import { isGone, isOver, type Standing, standingOf } from "./standing";

export interface Sight {
  nodes: ReadonlyMap<string, Node>;
  instances: ReadonlyMap<string, Instance>;
  agents: ReadonlyMap<string, Agent>;
  jobs: ReadonlyMap<string, Job>;
  /** The label that makes districts. */
  by: string;
  /** As `Layout` has it; else it is wide. */
  narrow?: boolean | undefined;
}

/** Which objects of the sight may be others than before; without it, each is looked at. */
export interface Touched {
  node: ReadonlySet<string>;
  instance: ReadonlySet<string>;
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
  /** The share of its units that fail, of those that have not ended. */
  ailing: number;
}

export interface Unit {
  instance: Instance;
  driver: string;
  shape: Shape;
  tone: Tone;
  standing: Standing;
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
  /** What labels and versions of Omnitide the nodes have may be another. */
  kinds: boolean;
  nodes: Set<string>;
  /** Those that are gone as well. */
  units: Set<string>;
  /** Where units are others than before: ids of nodes, empty for beside Nexus. */
  homes: Set<string>;
  /** More have come than are shown coming. */
  crowd: boolean;
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
  /** Those of one slot of a workload: of two, one takes the place of the other. */
  mates: Map<string, Set<string>>;
  /** How many units there are of each kind that a legend tells apart. */
  tally: Tally;
}

export interface Tally {
  standings: Map<Standing, number>;
  drivers: Map<string, number>;
  old: number;
}

const WITHOUT_NODE = new Set(["pending", "placed"]);
/** More at once is not news but another picture: it is shown without motion. */
export const MOTIONS = 400;

export function emptyCity(by: string, narrow = false): City {
  return {
    layout: layOut(new Map(), by, narrow),
    buildings: new Map(),
    units: new Map(),
    yard: new Slots(),
    seen: false,
    workloads: new Map(),
    unitsOf: new Map(),
    mates: new Map(),
    tally: { standings: new Map(), drivers: new Map(), old: 0 },
  };
}

/** Bring the city up to date, and tell what is another. */
export function advance(city: City, sight: Sight, touched?: Touched): Changes {
  const parts = advancing(city, sight, touched);
  for (;;) {
    const part = parts.next();
    if (part.done) return part.value;
  }
}

/** The same in parts, between which others may have their turn; what the sight is of may change meanwhile, as in a look later. */
export function* advancing(city: City, sight: Sight, touched?: Touched): Generator<void, Changes> {
  const changes: Changes = {
    layout: false,
    kinds: false,
    nodes: new Set(),
    units: new Set(),
    homes: new Set(),
    crowd: false,
    motions: [],
  };
  const crowded = new Set<string>();
  const settled = takeNodes(city, sight, changes, crowded, touched?.node);
  const stale = takeWorkloads(city, sight);
  yield;
  // Who stands on a node that has come or gone may now stand elsewhere.
  yield* takeInstances(city, sight, stale, changes, crowded, settled ? touched?.instance : undefined);
  if (crowded.size) yield* seat(city, crowded, changes);
  feel(city, changes, crowded);
  if (!city.seen || changes.crowd || changes.motions.length > MOTIONS) changes.motions = [];
  city.seen ||= sight.nodes.size > 0;
  return changes;
}

/** Whether the same nodes are there as before. */
function takeNodes(
  city: City,
  sight: Sight,
  changes: Changes,
  crowded: Set<string>,
  touched: ReadonlySet<string> | undefined,
): boolean {
  let settled = city.buildings.size === sight.nodes.size;
  const narrow = sight.narrow ?? false;
  let moved = city.layout.by !== sight.by || city.layout.narrow !== narrow || !settled;
  for (const id of touched ?? sight.nodes.keys()) {
    const node = sight.nodes.get(id);
    if (!node) continue;
    const had = city.buildings.get(id);
    if (had?.node === node) continue;
    changes.nodes.add(id);
    const before = had?.node.labels?.[sight.by];
    // One that was removed and has joined again stands after the others.
    if (!had || before !== node.labels?.[sight.by] || had.node.joined_ms !== node.joined_ms) moved = true;
    if (!had || differs(had.node, node)) changes.kinds = true;
    if (!had) settled = false;
    const state = nodeState(node);
    const dark = isSilent(node);
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
  for (const id of touched ?? city.buildings.keys()) {
    if (sight.nodes.has(id) || !city.buildings.has(id)) continue;
    moved = true;
    settled = false;
    changes.kinds = true;
    changes.nodes.add(id);
    city.buildings.delete(id);
  }
  if (!moved) return settled;
  changes.layout = true;
  city.layout = layOut(sight.nodes, sight.by, narrow);
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
  return settled;
}

/** By its labels or its version of Omnitide. */
function differs(one: Node, other: Node): boolean {
  if (one.software !== other.software) return true;
  const [had, has] = [one.labels ?? {}, other.labels ?? {}];
  for (const name in has) if (had[name] !== has[name]) return true;
  for (const name in had) if (!(name in has)) return true;
  return false;
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
  for (const home of crowded) changes.homes.add(home);
  for (const home of changes.homes) {
    const building = city.buildings.get(home);
    if (!building) continue;
    let bad = 0;
    let all = 0;
    for (const id of building.slots.ids()) {
      const standing = city.units.get(id)?.standing;
      if (standing && !isOver(standing)) all += 1;
      if (standing === "bad") bad += 1;
    }
    const ailing = all ? bad / all : 0;
    if (ailing === building.ailing) continue;
    building.ailing = ailing;
    changes.nodes.add(home);
  }
}

/** Where an instance stands: a node's id, or empty for beside Nexus. Undefined: nowhere. */
function homeOf(city: City, instance: Instance): string | undefined {
  if (isGone(instance)) return undefined;
  if (instance.node_id && city.buildings.has(instance.node_id)) return instance.node_id;
  // Others ended, or are lost, with a node that has gone from the fabric.
  return WITHOUT_NODE.has(instance.status) ? "" : undefined;
}

function* takeInstances(
  city: City,
  sight: Sight,
  stale: Set<string>,
  changes: Changes,
  crowded: Set<string>,
  touched: ReadonlySet<string> | undefined,
): Generator<void, void> {
  const come: string[] = [];
  const gone: string[] = [];
  const look = (id: string): void => {
    const instance = sight.instances.get(id);
    const home = instance && homeOf(city, instance);
    const had = city.units.get(id);
    if (!instance || home === undefined) {
      if (had) gone.push(id);
      return;
    }
    if (had?.instance === instance && had.home === home && !stale.has(instance.workload_id)) return;
    changes.units.add(id);
    changes.homes.add(home);
    const workload = city.workloads.get(instance.workload_id);
    const driver = driverOf(instance, workload);
    const { tone } = instanceState(instance);
    const unit: Unit = {
      instance,
      driver,
      shape: shapeOf(driver),
      tone,
      standing: standingOf(instance, tone),
      old: workload !== undefined && versionOf(workload) > (instance.version ?? 0),
      home,
      spot: had?.spot,
    };
    city.units.set(id, unit);
    if (had) tell(city.tally, had, -1);
    tell(city.tally, unit, 1);
    if (had?.home !== home) crowded.add(home);
    if (!had) {
      join(city.unitsOf, unit.instance.workload_id, id);
      join(city.mates, mateKey(unit), id);
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
  };
  if (touched) {
    for (const id of touched) look(id);
    for (const workload of stale) for (const id of [...(city.unitsOf.get(workload) ?? [])]) look(id);
  } else {
    let at = 0;
    for (const id of sight.instances.keys()) {
      look(id);
      at += 1;
      if (at % PART === 0) yield;
    }
    for (const id of city.units.keys()) if (!sight.instances.has(id)) gone.push(id);
  }
  // Those that take the place of others come from there: before the others are forgotten.
  if (city.seen) arrive(city, come, changes);
  for (const id of gone) {
    const unit = city.units.get(id);
    if (!unit) continue;
    changes.units.add(id);
    slotsOf(city, unit.home)?.leave(id);
    crowded.add(unit.home);
    city.units.delete(id);
    tell(city.tally, unit, -1);
    part(city.unitsOf, unit.instance.workload_id, id);
    part(city.mates, mateKey(unit), id);
  }
}

/** What it runs in: an instance of an earlier version runs in what that one said. */
function driverOf(instance: Instance, workload: Agent | Job | undefined): string {
  if (instance.isolation === "sandbox") return "sandbox";
  return instance.driver || workload?.driver || "";
}

function tell(tally: Tally, unit: Unit, by: 1 | -1): void {
  const { standings, drivers } = tally;
  if (unit.old) tally.old += by;
  standings.set(unit.standing, (standings.get(unit.standing) ?? 0) + by);
  drivers.set(unit.driver, (drivers.get(unit.driver) ?? 0) + by);
}

function join(groups: Map<string, Set<string>>, key: string, id: string): void {
  const group = groups.get(key);
  if (group) group.add(id);
  else groups.set(key, new Set([id]));
}

function part(groups: Map<string, Set<string>>, key: string, id: string): void {
  const group = groups.get(key);
  if (group?.delete(id) && !group.size) groups.delete(key);
}

function arrive(city: City, come: readonly string[], changes: Changes): void {
  // More of them are shown without motion anyway.
  if (come.length > MOTIONS) {
    changes.crowd = true;
    return;
  }
  for (const id of come) {
    const unit = city.units.get(id);
    if (unit?.home) changes.motions.push(origin(city, id, unit));
  }
}

/** From the one that it takes the place of, if that stands on another node; else from Nexus. */
function origin(city: City, id: string, unit: Unit): Motion {
  for (const other of city.mates.get(mateKey(unit)) ?? []) {
    const one = city.units.get(other);
    if (other === id || !one?.spot) continue;
    if (one.home === unit.home) return { kind: "pulse", unit: id, tone: "busy" };
    return { kind: "travel", unit: id, from: { x: one.spot.x, y: one.spot.y } };
  }
  return { kind: "travel", unit: id, from: nexusAt(city.layout) };
}

function mateKey(unit: Unit): string {
  return `${unit.instance.workload_id}/${unit.instance.slot}`;
}
