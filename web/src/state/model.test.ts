import { describe, expect, it } from "vitest";
import type { Node } from "../api/types";
import { type Frame, type Patch, read, type Snapshot, Unreadable } from "./frames";
import { apply, emptyModel, KEPT_MS, type Model, SAMPLES } from "./model";

/** As Nexus sent it, but for what these tests do not look at. */
const node = (id: string, status: Node["status"] = "live"): Node =>
  ({ id, name: id, status, scheduling: "open", drivers: [], labels: {}, cpu_milli: 2000 }) as unknown as Node;

const snapshot = (part: number, parts: number, nodes: Node[], revision = 5): Snapshot => ({
  kind: "snapshot",
  log: "l1",
  revision,
  time_ms: 1000,
  part,
  parts,
  objects: { node: Object.fromEntries(nodes.map((one) => [one.id, one])) },
});

const patch = (revision: number, nodes: Record<string, Node | null>): Patch => ({
  kind: "patch",
  revision,
  time_ms: 2000,
  objects: { node: nodes },
});

function modelOf(...frames: Frame[]): Model {
  const model = emptyModel();
  for (const frame of frames) apply(model, frame);
  return model;
}

describe("what is another", () => {
  it("is told by id after a patch, and is anything after a snapshot", () => {
    const model = emptyModel();
    expect(apply(model, snapshot(1, 2, [node("a")])).ids).toEqual({});
    expect(apply(model, snapshot(2, 2, [node("b")])).ids).toBeUndefined();
    expect(apply(model, patch(6, { a: node("a", "lost"), b: null })).ids).toEqual({ node: ["a", "b"] });
  });
});

describe("a snapshot", () => {
  it("is taken over when its last part is there, and not before", () => {
    const model = modelOf(snapshot(1, 1, [node("old")], 3));
    const first = apply(model, snapshot(1, 2, [node("a")]));
    expect(first.kinds.size).toBe(0);
    expect([...model.tables.node.keys()]).toEqual(["old"]);
    expect(model.revision).toBe(3);
    const last = apply(model, snapshot(2, 2, [node("b")]));
    expect(last.kinds).toContain("node");
    expect([...model.tables.node.keys()]).toEqual(["a", "b"]);
    expect(model.revision).toBe(5);
  });

  it("drops what is no more, with the use of nodes that are gone", () => {
    const model = modelOf(
      snapshot(1, 1, [node("a"), node("b")]),
      { kind: "use", time_ms: 1, node: { a: [1, 2], b: [3, 4] } },
      snapshot(1, 1, [node("b")], 9),
    );
    expect([...model.tables.node.keys()]).toEqual(["b"]);
    expect([...model.load.keys()]).toEqual(["b"]);
  });

  it.each([
    [[snapshot(2, 2, [])]],
    [[snapshot(1, 3, []), snapshot(3, 3, [])]],
    [[snapshot(1, 2, []), snapshot(2, 2, [], 6)]],
  ])("in parts that do not fit together is refused", (frames) => {
    expect(() => modelOf(...frames)).toThrow(Unreadable);
  });
});

describe("a patch", () => {
  it("puts whole objects in and takes out those that are null; others stay the very same", () => {
    const a = node("a");
    const model = modelOf(snapshot(1, 1, [a, node("b"), node("c")]));
    const changes = apply(model, patch(6, { b: node("b", "lost"), c: null, d: node("d") }));
    expect([...changes.kinds]).toEqual(["node"]);
    expect(model.revision).toBe(6);
    expect(model.tables.node.get("a")).toBe(a);
    expect(model.tables.node.get("b")?.status).toBe("lost");
    expect([...model.tables.node.keys()]).toEqual(["a", "b", "d"]);
  });

  it("before a whole snapshot is refused", () => {
    expect(() => modelOf(patch(1, {}))).toThrow(Unreadable);
    expect(() => modelOf(snapshot(1, 1, []), snapshot(1, 2, []), patch(7, {}))).toThrow(Unreadable);
  });
});

describe("use and beats", () => {
  it("keep the newest, and a bounded past of it", () => {
    const model = modelOf(snapshot(1, 1, [node("a")]));
    for (let at = 0; at < 2 * SAMPLES; at += 1) {
      const changes = apply(model, { kind: "use", time_ms: at * 10, node: { a: [at, at * 2] } });
      expect(changes.load).toBe(true);
    }
    const load = model.load.get("a");
    expect(load?.cpuMilli).toBe(2 * SAMPLES - 1);
    expect(load?.cpu).toHaveLength(SAMPLES);
    expect(load?.cpu.at(-1)).toBe(2 * SAMPLES - 1);
    apply(model, { kind: "use", time_ms: 10 * KEPT_MS, node: { a: [1, 1] } });
    expect(load?.at).toEqual([10 * KEPT_MS]);
  });

  it("a beat moves the revision alone", () => {
    const model = modelOf(snapshot(1, 1, [node("a")]), { kind: "beat", revision: 8, time_ms: 3000 });
    expect(model.revision).toBe(8);
    expect(model.timeMs).toBe(3000);
    expect(model.tables.node.size).toBe(1);
  });
});

describe("reading", () => {
  it.each(["", "{", "[]", "null", "7", '{"kind":7}', '{"kind":"beat"}', '{"kind":"patch","time_ms":1}'])(
    "refuses %j",
    (text) => {
      expect(() => read(text)).toThrow(Unreadable);
    },
  );

  it("leaves out a kind of a later Nexus", () => {
    expect(read('{"kind":"alarm","time_ms":1}')).toBeNull();
  });
});
