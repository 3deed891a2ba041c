import { afterEach, expect, it, vi } from "vitest";
import { frameSeen } from "./frame";

afterEach(() => vi.unstubAllGlobals());

/** A page of somebody who has a session; `paint` is the browser's. */
function page({ session = "", hidden = false, painted = false, tells = true } = {}) {
  let told: ((list: { getEntriesByName: (name: string) => object[] }) => void) | undefined;
  let watched = 0;
  class Observer {
    static supportedEntryTypes = tells ? ["paint"] : [];
    constructor(tell: typeof told) {
      told = tell;
    }
    observe() {
      watched += 1;
    }
    disconnect() {
      watched -= 1;
    }
  }
  vi.stubGlobal("PerformanceObserver", Observer);
  vi.stubGlobal("document", { hidden, documentElement: { dataset: session === "none" ? {} : { session } } });
  vi.stubGlobal("performance", { getEntriesByName: () => (painted ? [{}] : []) });
  let seen = false;
  const done = frameSeen().then(() => {
    seen = true;
  });
  const paint = (name: string) => told?.({ getEntriesByName: (asked: string) => (asked === name ? [{ name }] : []) });
  return { done, paint, isSeen: () => seen, watched: () => watched };
}

it("is waited for until it has been painted with something on it", async () => {
  const { done, paint, isSeen, watched } = page();
  paint("first-paint");
  await Promise.resolve();
  expect([isSeen(), watched()]).toEqual([false, 1]);
  paint("first-contentful-paint");
  await done;
  expect(watched()).toBe(0);
});

it("is not waited for where it has been seen, is not shown, nobody looks, or the browser does not say", async () => {
  for (const how of [{ painted: true }, { session: "none" }, { hidden: true }, { tells: false }]) {
    const { done, watched } = page(how);
    await done;
    expect(watched()).toBe(0);
  }
});

it("is not waited for for ever", async () => {
  vi.useFakeTimers();
  try {
    const { done, isSeen, watched } = page();
    await vi.advanceTimersByTimeAsync(900);
    expect(isSeen()).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    await done;
    expect(watched()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
