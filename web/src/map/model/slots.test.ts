import { expect, test } from "vitest";
import { inOrder, type Seated, Slots } from "./slots";

const seated = (id: string, more: Partial<Seated> = {}): Seated => ({
  id,
  kind: "agent",
  namespace: "shop",
  workload: "web",
  slot: 1,
  created_ms: 5,
  ...more,
});

/** Each before the one after it, by the one thing that the two differ in. */
const ROW = [
  seated("i9", { kind: "agent", namespace: "a", workload: "z", slot: 9, created_ms: 9 }),
  seated("i8", { namespace: "shop", workload: "api", slot: 9, created_ms: 9 }),
  seated("i7", { workload: "web", slot: 1, created_ms: 9 }),
  seated("i6", { slot: 2, created_ms: 4 }),
  // Of one slot, as while one takes the place of another: who was there first.
  seated("i5", { slot: 2, created_ms: 6 }),
  seated("i1", { slot: 10, created_ms: 1 }),
  // Made in the same millisecond: by what nothing else changes.
  seated("i2", { slot: 10, created_ms: 1 }),
  seated("i0", { kind: "job", namespace: "a", workload: "a", slot: 0, created_ms: 0 }),
];

test("stands as a list is read", () => {
  expect([...ROW].reverse().sort(inOrder)).toEqual(ROW);
});

test("stands where it would whoever came when", () => {
  const orders = ROW.map((_, from) => [...ROW.slice(from), ...ROW.slice(0, from)]);
  for (const order of [...orders, [...ROW].reverse()]) {
    const slots = new Slots();
    for (const one of order) slots.take([one]);
    expect([...slots.ids()]).toEqual(ROW.map(({ id }) => id));
    slots.leave("i7");
    expect(slots.at(2)).toBe("i6");
    expect(slots.size).toBe(ROW.length - 1);
  }
});
