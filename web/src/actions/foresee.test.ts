import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Refused, request } from "../api/client";
import { foreseeWhenFree } from "./foresee";

vi.mock(import("../api/client"), async (original) => ({ ...(await original()), request: vi.fn() }));

const CHANGES = [{ verb: "node.drain", name: "n1" }];
const OUTLOOK = { moves: [] };
const busy = (afterS: number) => new Refused("busy", "2 looks ahead are under way", "again in a moment", 0, afterS);

beforeEach(() => {
  vi.useFakeTimers();
  vi.mocked(request).mockReset();
});
afterEach(() => vi.useRealTimers());

describe("a look ahead", () => {
  it("that Nexus has no time for is asked again when it says, until it is answered", async () => {
    const waits: number[] = [];
    vi.mocked(request).mockRejectedValueOnce(busy(3)).mockRejectedValueOnce(busy(0)).mockResolvedValueOnce(OUTLOOK);
    const found = foreseeWhenFree(CHANGES, new AbortController().signal, (afterS) => waits.push(afterS));
    await vi.advanceTimersByTimeAsync(2_999);
    expect(request).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(request).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await found).toBe(OUTLOOK);
    expect(waits).toEqual([3, 2]);
  });

  it("is not asked again once nobody waits for it", async () => {
    const gone = new AbortController();
    vi.mocked(request).mockRejectedValue(busy(1));
    const found = foreseeWhenFree(CHANGES, gone.signal, () => undefined);
    const refused = expect(found).rejects.toThrow("under way");
    await vi.advanceTimersByTimeAsync(500);
    gone.abort();
    await refused;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(request).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("that is refused for another reason is refused", async () => {
    vi.mocked(request).mockRejectedValue(new Refused("not-found", "there is no node n1"));
    await expect(foreseeWhenFree(CHANGES, new AbortController().signal, () => undefined)).rejects.toThrow("no node n1");
    expect(request).toHaveBeenCalledTimes(1);
  });
});
