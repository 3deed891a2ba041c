import { afterEach, expect, test } from "vitest";
import { takeAnswer, takeSocket } from "./early";

class Socket {
  closed = false;
  onopen: ((event: Event) => void) | null = () => {};
  onmessage: ((event: MessageEvent) => void) | null = () => {};
  onclose: ((event: CloseEvent) => void) | null = () => {};
  close(): void {
    this.closed = true;
  }
}

function begun(what: { opened?: boolean; messages?: string[]; closed?: boolean } = {}) {
  const socket = new Socket();
  globalThis.omnitideEarly = {
    proof: "mine",
    socket: socket as unknown as WebSocket,
    opened: what.opened ?? false,
    messages: (what.messages ?? []).map((data) => ({ data }) as MessageEvent),
    closed: what.closed ? ({ code: 4401 } as CloseEvent) : null,
    answers: { "/v1/session": Promise.resolve({ ok: true } as Response) },
  };
  return socket;
}

function heard(socket: Socket): string[] {
  const told: string[] = [];
  socket.onopen = () => told.push("open");
  socket.onmessage = (event) => told.push(String(event.data));
  socket.onclose = (event) => told.push(`closed ${event.code}`);
  return told;
}

/** As long as tasks follow each other. */
async function settled(told: readonly string[], count: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (told.length < count && performance.now() < deadline) await new Promise((resume) => setTimeout(resume));
}

afterEach(() => {
  globalThis.omnitideEarly = undefined;
});

test("what came before it was taken happens again, in order and once", async () => {
  const socket = begun({ opened: true, messages: ["one", "two"], closed: true });
  expect(takeSocket("mine")).toBe(socket);
  const told = heard(socket);
  await settled(told, 4);
  expect(told).toEqual(["open", "one", "two", "closed 4401"]);
  expect(takeSocket("mine")).toBeNull();
});

test("each message is a task of its own, and what comes meanwhile waits behind them", async () => {
  const socket = begun({ opened: true, messages: ["1", "2", "3"] });
  takeSocket("mine");
  const told = heard(socket);
  await Promise.resolve();
  expect(told).toEqual(["open", "1"]);
  socket.onmessage?.({ data: "4" } as MessageEvent);
  expect(told).toEqual(["open", "1"]);
  await settled(told, 5);
  expect(told).toEqual(["open", "1", "2", "3", "4"]);
  socket.onmessage?.({ data: "5" } as MessageEvent);
  expect(told.at(-1)).toBe("5");
  expect(globalThis.omnitideEarly?.messages).toEqual([]);
});

test("nothing more is told once it was let go of", async () => {
  const socket = begun({ opened: true, messages: ["1", "2", "3"], closed: true });
  takeSocket("mine");
  const told = heard(socket);
  await Promise.resolve();
  socket.onopen = socket.onmessage = socket.onclose = null;
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resume) => setTimeout(resume));
  expect(told).toEqual(["open", "1"]);
  expect(socket.onmessage).toBeNull();
});

test("one that is still opening tells nothing", async () => {
  const socket = begun();
  takeSocket("mine");
  const told = heard(socket);
  await Promise.resolve();
  expect(told).toEqual([]);
});

test("another session begins anew", () => {
  const socket = begun({ opened: true });
  expect(takeSocket("another's")).toBeNull();
  expect(socket.closed).toBe(true);
  expect(takeAnswer("/v1/session", "another's")).toBeNull();
  expect(takeAnswer("/v1/session", "mine")).toBeNull();
});

test("each answer is taken once", async () => {
  begun();
  expect(takeAnswer("/v1/fabric", "mine")).toBeNull();
  expect(await takeAnswer("/v1/session", "mine")).toEqual({ ok: true });
  expect(takeAnswer("/v1/session", "mine")).toBeNull();
});

test("where nothing was asked before, there is nothing to take", () => {
  expect(takeSocket("mine")).toBeNull();
  expect(takeAnswer("/v1/session", "mine")).toBeNull();
});
