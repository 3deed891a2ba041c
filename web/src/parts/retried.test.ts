import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { setCutOff } from "../state/cut";
import { retried } from "./retried";

const GONE = "Failed to fetch dynamically imported module: https://nexus/assets/Palette-1a_b.js";
const STYLE = "Unable to preload CSS for /assets/uPlot-Cn_Z1.css";

/** What becomes of each `load` in turn: a text is thrown. */
function loading(...ends: (Error | string)[]) {
  return vi.fn(async () => {
    const end = ends.shift();
    if (end === undefined) throw new Error("asked for too often");
    if (end instanceof Error) throw end;
    return end;
  });
}

interface Link {
  href: string;
  onload?: () => void;
  onerror?: () => void;
  remove: () => void;
}

let links: Link[];
let asked: string[];
/** Statuses by path; without one the network is away. */
let statuses: Record<string, number>;
let reloads: number;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  statuses = {};
  reloads = 0;
  links = [];
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  vi.stubGlobal("document", {
    createElement: (): Partial<Link> => ({
      remove() {
        links = links.filter((one) => one !== this);
      },
    }),
    head: { append: (link: Link) => links.push(link) },
  });
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    const status = statuses[path];
    if (status === undefined) throw new TypeError("Failed to fetch");
    return new Response(null, { status });
  });
  vi.stubGlobal("location", { reload: () => reloads++ });
});
afterEach(() => {
  setCutOff(false);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function ended<T>(promise: Promise<T>): Promise<T | string> {
  const end = promise.catch((error) => String(error));
  await vi.runAllTimersAsync();
  return end;
}

describe("a part of the panel", () => {
  it("is asked for again where it was lost on its way, and the page stays", async () => {
    statuses["/"] = 200;
    const load = loading(new TypeError(GONE), new TypeError(GONE), "the part");
    expect(await ended(retried(load))).toBe("the part");
    expect(load).toHaveBeenCalledTimes(3);
    expect(reloads).toBe(0);
  });

  it("is not asked for again where the panel has other files now: the page is loaded anew, once a minute", async () => {
    statuses["/"] = 200;
    statuses["/assets/Palette-1a_b.js"] = 404;
    const load = loading(new TypeError(GONE), new TypeError(GONE));
    expect(await ended(retried(load))).toContain("Palette");
    expect(load).toHaveBeenCalledTimes(1);
    expect(reloads).toBe(1);
    expect(await ended(retried(load))).toContain("Palette");
    expect(reloads).toBe(1);
  });

  it("comes when the connection is back, however long that takes", async () => {
    setCutOff(true);
    const lost = Array.from({ length: 40 }, () => new TypeError(GONE));
    const load = loading(...lost, "the part");
    expect(await ended(retried(load))).toBe("the part");
    expect(reloads).toBe(0);
  });

  it("leaves the page that there is where Nexus cannot be reached either", async () => {
    const load = loading(...Array.from({ length: 4 }, () => new TypeError(GONE)));
    expect(await ended(retried(load))).toContain("Palette");
    expect(load).toHaveBeenCalledTimes(4);
    expect(reloads).toBe(0);
    expect(asked.at(-1)).toBe("/");
  });

  it("waits for a style that was lost, which nobody else asks for again", async () => {
    statuses["/assets/uPlot-Cn_Z1.css"] = 200;
    const load = loading(new Error(STYLE), "the part");
    const part = retried(load);
    await vi.advanceTimersByTimeAsync(300);
    expect(links.map((one) => one.href)).toEqual(["/assets/uPlot-Cn_Z1.css"]);
    links[0]?.onerror?.();
    expect(links).toEqual([]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(load).toHaveBeenCalledTimes(1);
    links[0]?.onload?.();
    expect(await ended(part)).toBe("the part");
    expect(links.length).toBe(1);
  });
});
