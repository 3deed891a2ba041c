import type { Container, Shader, Texture } from "pixi.js";
import { beforeEach, expect, test, vi } from "vitest";
import { Quads } from "./quads";

// What a card would be sent, in bytes: how many, from where on.
const sent = vi.hoisted(() => ({ ranges: [] as [number, number][] }));
vi.mock("pixi.js", () => ({
  Buffer: class {
    data: unknown;
    update(size: number, offset: number) {
      sent.ranges.push([offset, size]);
    }
  },
  BufferUsage: { VERTEX: 1, COPY_DST: 2, INDEX: 4 },
  Geometry: class {},
  Mesh: class {
    visible = true;
  },
}));

const TEXTURE = { uvs: { x0: 0, y0: 0, x2: 1, y2: 1 } } as unknown as Texture;
const put = (quads: Quads, at: number) => quads.set(at, TEXTURE, 0, 0, 1, 1, 0xffffff, 1);

beforeEach(() => {
  sent.ranges = [];
});

test("what is hidden while nothing is shown is sent with what is shown next", () => {
  const quads = new Quads({} as Shader, { addChild: () => {} } as unknown as Container);
  quads.clear(8);
  for (let at = 0; at < 8; at += 1) put(quads, at);
  quads.show(8);
  quads.commit();
  const [[from, size] = [1, 0]] = sent.ranges;
  expect(from).toBe(0);
  sent.ranges = [];
  quads.show(0);
  quads.commit();
  expect(sent.ranges, "no frame would take it to the card").toEqual([]);
  put(quads, 0);
  quads.show(1);
  quads.commit();
  expect(sent.ranges).toEqual([[0, size]]);
  sent.ranges = [];
  quads.commit();
  expect(sent.ranges, "all of it has been sent").toEqual([]);
});
