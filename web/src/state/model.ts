/**
 * The fabric as this page knows it: every object by kind and id, at a revision. No I/O, no clock; frames go in, and what
 * they changed comes out, so that only that is drawn anew. Objects are never changed in place: another object is another
 * look.
 */
import { type Frame, KINDS, type Kind, type Objects, type Snapshot, Unreadable } from "./frames";

/** Of a node's use so much is kept, for lines in rows; and so many samples at most. */
export const KEPT_MS = 120_000;
export const SAMPLES = 150;

export type Tables = { [K in Kind]: Map<string, Objects[K]> };

export interface Load {
  cpuMilli: number;
  memoryBytes: number;
  atMs: number;
  /** Of one length, newest last. */
  at: number[];
  cpu: number[];
}

export interface Model {
  log: string;
  revision: number;
  /** Of the newest frame, by Nexus's clock. */
  timeMs: number;
  /** Whether a whole snapshot has come. */
  filled: boolean;
  tables: Tables;
  load: Map<string, Load>;
  /** A snapshot of which not all parts are there. */
  coming: Coming | null;
}

interface Coming {
  log: string;
  revision: number;
  part: number;
  parts: number;
  tables: Tables;
}

export interface Changes {
  kinds: Set<Kind>;
  /** Of a patch, ids by kind; of a snapshot undefined: anything may be another. */
  ids: { [K in Kind]?: string[] } | undefined;
  load: boolean;
}

function emptyTables(): Tables {
  return { namespace: new Map(), node: new Map(), agent: new Map(), job: new Map(), instance: new Map() };
}

export function emptyModel(): Model {
  return {
    log: "",
    revision: 0,
    timeMs: 0,
    filled: false,
    tables: emptyTables(),
    load: new Map(),
    coming: null,
  };
}

/** Take in a frame. Throws Unreadable for one that does not fit what came before; the view is then begun anew. */
export function apply(model: Model, frame: Frame): Changes {
  const changes: Changes = { kinds: new Set(), ids: {}, load: false };
  model.timeMs = frame.time_ms;
  switch (frame.kind) {
    case "snapshot":
      takePart(model, frame, changes);
      break;
    case "patch":
      if (!model.filled || model.coming) throw new Unreadable("a patch came before the whole snapshot");
      for (const kind of KINDS) put(model.tables, kind, frame.objects[kind], changes);
      for (const [id, node] of Object.entries(frame.objects.node ?? {})) {
        if (node === null) model.load.delete(id);
      }
      model.revision = frame.revision;
      break;
    case "use":
      for (const [id, [cpu, memory]] of Object.entries(frame.node)) sample(model, id, cpu, memory, frame.time_ms);
      changes.load = true;
      break;
    case "beat":
      if (!model.coming) model.revision = frame.revision;
      break;
  }
  return changes;
}

function takePart(model: Model, frame: Snapshot, changes: Changes): void {
  if (frame.part === 1) {
    const { log, revision, parts } = frame;
    model.coming = { log, revision, part: 0, parts, tables: emptyTables() };
  }
  const coming = model.coming;
  if (coming?.part !== frame.part - 1 || coming.revision !== frame.revision || coming.parts !== frame.parts) {
    throw new Unreadable(`part ${frame.part} of a snapshot came out of order`);
  }
  coming.part = frame.part;
  for (const kind of KINDS) put(coming.tables, kind, frame.objects[kind], changes);
  changes.kinds.clear();
  changes.ids = {};
  if (frame.part < frame.parts) return;
  model.log = coming.log;
  model.revision = coming.revision;
  model.tables = coming.tables;
  model.coming = null;
  model.filled = true;
  for (const id of model.load.keys()) {
    if (!model.tables.node.has(id)) model.load.delete(id);
  }
  for (const kind of KINDS) changes.kinds.add(kind);
  changes.ids = undefined;
}

function put<K extends Kind>(
  tables: Tables,
  kind: K,
  objects: Record<string, Objects[K] | null> | undefined,
  changes: Changes,
): void {
  if (!objects) return;
  const table = tables[kind] as Map<string, Objects[K]>;
  const ids = Object.keys(objects);
  if (changes.ids) changes.ids[kind] = ids;
  for (const id of ids) {
    const object = objects[id];
    if (object === undefined) continue;
    if (object === null) table.delete(id);
    else table.set(id, object);
  }
  changes.kinds.add(kind);
}

function sample(model: Model, id: string, cpuMilli: number, memoryBytes: number, atMs: number): void {
  let load = model.load.get(id);
  if (!load) {
    load = { cpuMilli, memoryBytes, atMs, at: [], cpu: [] };
    model.load.set(id, load);
  }
  load.cpuMilli = cpuMilli;
  load.memoryBytes = memoryBytes;
  load.atMs = atMs;
  load.at.push(atMs);
  load.cpu.push(cpuMilli);
  while (load.at.length > SAMPLES || (load.at[0] ?? atMs) < atMs - KEPT_MS) {
    load.at.shift();
    load.cpu.shift();
  }
}
