import { describe, expect, it } from "vitest";
import type { CloudEvent } from "../../api/types";
import { APART_MS, folded, type Line, rowsOf, steady, tellLine, wholeHref } from "./fold";

let made = 0;
const event = (subject: string, kind: string, atS: number, data: object = {}) => {
  made += 1;
  const time = new Date(1_800_000_000_000 + atS * 1000).toISOString();
  return {
    id: `log/${made}.0`,
    revision: made,
    type: `omnitide.${kind}.v1`,
    subject,
    time,
    data,
  } as unknown as CloudEvent;
};
/** So often, a time each 20 s, from `fromS` on: oldest first. */
const loop = (name: string, times: number, fromS = 0, code = () => 1) =>
  Array.from({ length: times }, (_, at) => [
    event(`instance/default/${name}`, "instance.exited", fromS + 20 * at, {
      exit: { code: code() },
      node_name: "alpha",
    }),
    event(`instance/default/${name}`, "instance.running", fromS + 20 * at + 5, { node_name: "alpha" }),
  ]).flat();
const told = (events: readonly CloudEvent[]) =>
  folded([...events].reverse()).map((line) => {
    const { subject, text, times } = tellLine(line);
    return [subject, text, times].filter(Boolean).join(" | ");
  });

describe("what happens again and again", () => {
  it("is a line for each of its kinds, with how often in how long, at its newest", () => {
    expect(told(loop("web-1.1", 37))).toEqual([
      "instance web-1.1 | running | 37 times in 12 min",
      "instance web-1.1 | exited: exit code 1 | 37 times in 12 min",
    ]);
  });

  it("does not hide what happened between, of whomever", () => {
    const between = [
      event("agent/default/api", "agent.created", 100, { replicas: 1 }),
      event("node/beta", "node.joined", 101),
    ];
    const all = [...loop("web-1.1", 5), ...between, ...loop("web-1.1", 5, 110)];
    expect(told(all)).toEqual([
      "instance web-1.1 | running | 10 times in 3 min 10 s",
      "instance web-1.1 | exited: exit code 1 | 10 times in 3 min 10 s",
      "node beta | joined the fabric",
      "agent api | created, 1 replica",
    ]);
  });

  it("is divided by what somebody did to its agent", () => {
    const all = [
      ...loop("web-1.1", 4),
      event("agent/default/web", "agent.updated", 100, { version: 2 }),
      ...loop("web-1.2", 3, 110),
    ];
    expect(told(all)).toEqual([
      "instance web-1.2 | running | 3 times in 40 s",
      "instance web-1.2 | exited: exit code 1 | 3 times in 40 s",
      "agent web | updated to version 2",
      "instance web-1.1 | running | 4 times in 1 min",
      "instance web-1.1 | exited: exit code 1 | 4 times in 1 min",
    ]);
    const lines = folded([...all].reverse());
    expect(new Set(lines.map((line) => line.key)).size).toBe(lines.length);
  });

  it("is of two agents that crash by turns a line for each", () => {
    const turns = [...loop("web-1.1", 4), ...loop("api-1.1", 4, 2)].sort((a, b) => (a.time < b.time ? -1 : 1));
    expect(told(turns)).toEqual([
      "instance api-1.1 | running | 4 times in 1 min",
      "instance web-1.1 | running | 4 times in 1 min",
      "instance api-1.1 | exited: exit code 1 | 4 times in 1 min",
      "instance web-1.1 | exited: exit code 1 | 4 times in 1 min",
    ]);
  });

  it("says of several replicas whose they are, and of several ends the last", () => {
    let code = 0;
    const all = [1, 2].flatMap((slot) => loop(`shop-front-${slot}.1`, 2, slot, () => (code += 1)));
    expect(told(all.filter((one) => one.type.includes("exited")))).toEqual([
      "instances of shop-front | exited, the last time: exit code 4 | 4 times in 21 s",
    ]);
    const placed = [1, 2, 3].map((slot) =>
      event(`instance/shop/web-${slot}.1`, "instance.placed", 0, { node_name: `n${slot}` }),
    );
    expect(told(placed)).toEqual(["instances of shop/web | placed | 3 of them"]);
    expect(tellLine(folded(placed)[0] as never).node).toBe("");
  });

  it("is told apart from what was long before, and of two there is no need", () => {
    const all = [...loop("web-1.1", 2), ...loop("web-1.1", 2, APART_MS / 1000 + 26)];
    expect(told(all)).toHaveLength(8);
    expect(told([...loop("web-1.1", 3), ...loop("web-1.1", 3, APART_MS / 1000 + 46)])).toHaveLength(4);
  });

  it("loses nothing, and keeps its key while more of it comes", () => {
    const first = loop("web-1.1", 4);
    const more = [...first, ...loop("web-1.1", 2, 80)];
    const lines = (events: readonly CloudEvent[]) => folded([...events].reverse());
    expect(lines(more).map((line) => line.key)).toEqual(lines(first).map((line) => line.key));
    const ids = lines(more).flatMap((line) => line.events.map((one) => one.id));
    expect(ids.sort()).toEqual(more.map((one) => one.id).sort());
  });
});

describe("the rows of a list of events", () => {
  it("have what is folded below its line, where somebody asks for it", () => {
    const lines = folded([...loop("web-1.1", 3)].reverse());
    const [first] = lines;
    expect(rowsOf(lines, new Set())).toHaveLength(2);
    const rows = rowsOf(lines, new Set([first?.key ?? ""]));
    expect(rows.map((row) => row.within)).toEqual([false, true, true, true, false]);
    expect(rows.slice(1, 4).map((row) => row.line.event)).toEqual(first?.events);
  });

  it("lead to all of it: of one instance to its own, of several to their agent's or job's", () => {
    const one = folded([...loop("web-1.1", 3)].reverse())[0] as Line;
    expect(wholeHref(one, () => true)).toBe("/events?each=1&subject=instance%2Fdefault%2Fweb-1.1");
    const placed = [1, 2, 3].map((slot) =>
      event(`instance/shop/web-${slot}.1`, "instance.placed", 0, { instance: `w1.${slot}.1` }),
    );
    const several = folded(placed)[0] as Line;
    expect(wholeHref(several, (id) => id === "w1")).toBe("/events?each=1&subject=agent%2Fshop%2Fweb");
    expect(wholeHref(several, () => false)).toBe("/events?each=1&subject=job%2Fshop%2Fweb");
  });

  it("are the objects that they were, as long as nothing came to them", () => {
    const before = folded([...loop("web-1.1", 3)].reverse());
    const same = folded(
      before
        .flatMap((line) => line.events)
        .map((one) => ({ ...one }))
        .sort((a, b) => b.revision - a.revision),
    );
    expect(steady(same, before).every((line, at) => line === before[at])).toBe(true);
  });
});
