import { createRoot, createSignal } from "solid-js";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ONLY_NOW, setPastRevision } from "../past/when";
import { createAsked } from "./asked";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { visibilityState: "visible" });
});
afterEach(() => {
  setPastRevision(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("what was said of an object stays while another state of the same object is asked about", async () => {
  const [agent, setAgent] = createSignal({ name: "web", running: 1 });
  const answers: string[] = [];
  const { asked, dispose } = createRoot((dispose) => ({
    asked: createAsked(
      () => agent().name,
      () => agent().running,
      60_000,
      (name) => Promise.resolve(`${name} ${answers.push(name)}`),
    ),
    dispose,
  }));
  await vi.advanceTimersByTimeAsync(10);
  expect(asked.value()).toBe("web 1");
  setAgent({ name: "web", running: 2 });
  expect(asked.value()).toBe("web 1");
  await vi.advanceTimersByTimeAsync(800);
  expect(asked.value()).toBe("web 2");
  setAgent({ name: "api", running: 2 });
  expect(asked.value(), "of another nothing is known yet").toBeUndefined();
  await vi.advanceTimersByTimeAsync(800);
  expect(asked.value()).toBe("api 3");
  dispose();
});

it("says without a break that it is told of now only, whatever revision of the past is shown", async () => {
  const { asked, dispose } = createRoot((dispose) => ({
    asked: createAsked(
      () => "web",
      () => 0,
      60_000,
      (name) => Promise.resolve(name),
    ),
    dispose,
  }));
  await vi.advanceTimersByTimeAsync(10);
  expect(asked.value()).toBe("web");
  setPastRevision(3);
  expect(asked.value(), "what is of now is not shown with the past").toBeUndefined();
  await vi.advanceTimersByTimeAsync(10);
  expect(asked.failed()).toBe(ONLY_NOW);
  setPastRevision(4);
  expect(asked.failed()).toBe(ONLY_NOW);
  setPastRevision(0);
  await vi.advanceTimersByTimeAsync(10);
  expect([asked.value(), asked.failed()]).toEqual(["web", ""]);
  dispose();
});
