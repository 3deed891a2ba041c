import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Refused } from "../api/client";
import type { Outlook } from "../api/types";
import { type foresee, foreseeWhenFree } from "./foresee";

const CHANGES = [{ verb: "node.drain", name: "n1" }];
const OUTLOOK = { moves: [] } as unknown as Outlook;
const busy = (afterS: number) => new Refused("busy", "2 looks ahead are under way", "again in a moment", 0, afterS);
const ask = vi.fn<typeof foresee>();

beforeEach(() => {
  vi.useFakeTimers();
  ask.mockReset();
});
afterEach(() => vi.useRealTimers());

describe("a look ahead", () => {
  it("that Nexus has no time for is asked again when it says, until it is answered", async () => {
    const waits: number[] = [];
    ask.mockRejectedValueOnce(busy(3)).mockRejectedValueOnce(busy(0)).mockResolvedValueOnce(OUTLOOK);
    const found = foreseeWhenFree(CHANGES, new AbortController().signal, (afterS) => waits.push(afterS), ask);
    await vi.advanceTimersByTimeAsync(2_999);
    expect(ask).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(ask).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await found).toBe(OUTLOOK);
    expect(waits).toEqual([3, 2]);
  });

  it("is not asked again once nobody waits for it", async () => {
    const gone = new AbortController();
    ask.mockRejectedValue(busy(1));
    const found = foreseeWhenFree(CHANGES, gone.signal, () => undefined, ask);
    const refused = expect(found).rejects.toThrow("under way");
    await vi.advanceTimersByTimeAsync(500);
    gone.abort();
    await refused;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that is refused for another reason is refused", async () => {
    ask.mockRejectedValue(new Refused("not-found", "there is no node n1"));
    await expect(foreseeWhenFree(CHANGES, new AbortController().signal, () => undefined, ask)).rejects.toThrow(
      "no node n1",
    );
    expect(ask).toHaveBeenCalledTimes(1);
  });
});
