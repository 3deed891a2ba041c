import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { emptyModel, type Model } from "../state/model";
import { NotThere, Past } from "./past";
import { pastRevision, setPastRevision } from "./when";

function world() {
  const asked: { revision: number; give(model?: Model): void; refuse(error: NotThere): void }[] = [];
  const past = new Past(
    (revision) =>
      new Promise((resolve, reject) => {
        asked.push({
          revision,
          give: (model = { ...emptyModel(), revision, filled: true }) => resolve(model),
          refuse: reject,
        });
      }),
  );
  return { past, asked };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  setPastRevision(0);
});
afterEach(() => {
  vi.useRealTimers();
  setPastRevision(0);
});

describe("the past", () => {
  it("is nothing until it is there, and nothing again when one goes back", async () => {
    const { past, asked } = world();
    past.show(7);
    expect(pastRevision()).toBe(7);
    expect(past.model()).toBeUndefined();
    asked[0]?.give();
    await settled();
    expect(past.model()?.revision).toBe(7);
    past.back();
    expect(pastRevision()).toBe(0);
    expect(past.model()).toBeUndefined();
  });

  it("is asked for once at a time, and then for what is wanted by then", async () => {
    const { past, asked } = world();
    for (const revision of [10, 11, 12, 13]) past.show(revision);
    expect(asked.map((one) => one.revision)).toEqual([10]);
    asked[0]?.give();
    await settled();
    expect(past.model()?.revision).toBe(10);
    expect(asked.map((one) => one.revision)).toEqual([10, 13]);
    asked[1]?.give();
    await settled();
    expect(past.model()?.revision).toBe(13);
    expect(asked).toHaveLength(2);
  });

  it("that comes after one has gone back is not shown", async () => {
    const { past, asked } = world();
    past.show(5);
    past.back();
    asked[0]?.give();
    await settled();
    expect(past.model()).toBeUndefined();
    past.show(6);
    expect(asked.map((one) => one.revision)).toEqual([5, 6]);
  });

  it("that is not kept says so, and what may be there later is asked for again", async () => {
    const { past, asked } = world();
    past.show(5);
    asked[0]?.refuse(new NotThere("not kept any more", 900, false));
    await settled();
    expect(past.trouble()).toBe("not kept any more");
    expect(past.absent()).toBe("not kept any more");
    expect(past.first()).toBe(900);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked).toHaveLength(1);
    past.show(950);
    asked[1]?.refuse(new NotThere("busy", 0, true));
    await settled();
    expect(past.trouble()).toBe("busy");
    expect(past.absent(), "it may be there, and is only not known yet").toBe("");
    await vi.advanceTimersByTimeAsync(2_100);
    expect(asked.map((one) => one.revision)).toEqual([5, 950, 950]);
    asked[2]?.give();
    await settled();
    expect(past.model()?.revision).toBe(950);
  });

  it("that never was is not shown as another that was looked at before", async () => {
    const { past, asked } = world();
    past.show(5);
    asked[0]?.give();
    await settled();
    past.show(99_999);
    expect(past.model()?.revision, "as long as it may be there, what is seen stays").toBe(5);
    asked[1]?.refuse(new NotThere("the fabric has never had revision 99999", 0, false));
    await settled();
    expect(past.absent()).toBe("the fabric has never had revision 99999");
    expect(past.model()).toBeUndefined();
    past.show(5);
    expect(past.absent()).toBe("");
    expect(asked.map((one) => one.revision)).toEqual([5, 99_999, 5]);
    past.show(6);
    asked[2]?.refuse(new NotThere("busy", 0, true));
    await settled();
    asked[3]?.give();
    await settled();
    expect(past.model()?.revision).toBe(6);
    past.show(7);
    asked[4]?.refuse(new NotThere("busy", 0, true));
    await settled();
    expect(past.model()?.revision, "busy: what is seen stays").toBe(6);
  });
});
