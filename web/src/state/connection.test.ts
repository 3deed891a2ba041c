import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection, LONGEST_WAIT_MS, QUIET_MS, SILENCE_MS, type Status } from "./connection";

/** A socket at the other end of which the test is. */
class Socket {
  static readonly OPEN = 1;
  readyState = 0;
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  opens(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  says(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  breaks(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  close(): void {
    this.closed = true;
    this.readyState = 3;
  }
}

const BEAT = { kind: "beat", revision: 1, time_ms: 1 };

function world() {
  const sockets: Socket[] = [];
  const told: Status[] = [];
  const heard: unknown[] = [];
  let refused = 0;
  const connection = new Connection(
    {
      open: () => {
        const socket = new Socket();
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      nowMs: () => Date.now(),
      chance: () => 1,
    },
    {
      begin: () => heard.push("begin"),
      frame: (frame) => heard.push(frame),
      status: (status) => told.push(status),
      refused: () => {
        refused += 1;
      },
    },
  );
  connection.start();
  const last = () => sockets.at(-1) as Socket;
  return { connection, sockets, told, heard, last, refusals: () => refused, status: () => told.at(-1)?.kind };
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.stubGlobal("WebSocket", Socket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a connection", () => {
  it("is live when the first frame is there, not when the socket is", () => {
    const { last, status, heard } = world();
    expect(status()).toBe("connecting");
    last().opens();
    expect(status()).toBe("connecting");
    last().says(BEAT);
    expect(status()).toBe("live");
    expect(heard).toEqual(["begin", BEAT]);
  });

  it("that broke says since when until it is live again, and is tried again less and less often", () => {
    const { last, told, sockets } = world();
    last().opens();
    last().says(BEAT);
    vi.advanceTimersByTime(700);
    const broke = Date.now();
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 8; attempt += 1) {
      last().breaks();
      expect(told.at(-1)).toEqual({ kind: "broken", sinceMs: broke, attempts: attempt });
      const before = sockets.length;
      const began = Date.now();
      while (sockets.length === before) vi.advanceTimersByTime(50);
      waits.push(Date.now() - began);
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, LONGEST_WAIT_MS, LONGEST_WAIT_MS, LONGEST_WAIT_MS]);
    last().opens();
    last().says(BEAT);
    expect(told.at(-1)).toEqual({ kind: "live" });
    last().breaks();
    expect(told.at(-1)).toMatchObject({ sinceMs: Date.now(), attempts: 1 });
  });

  it("that says nothing for too long is given up", () => {
    const { last, status, sockets, told } = world();
    last().opens();
    last().says(BEAT);
    const first = last();
    vi.advanceTimersByTime(SILENCE_MS - 1);
    last().says(BEAT);
    vi.advanceTimersByTime(QUIET_MS - 1);
    expect(status()).toBe("live");
    vi.advanceTimersByTime(SILENCE_MS - QUIET_MS);
    const heard = Date.now() - SILENCE_MS + 1;
    vi.advanceTimersByTime(200);
    expect(told.at(-1)).toMatchObject({ kind: "broken", sinceMs: heard });
    expect(first.closed).toBe(true);
    vi.advanceTimersByTime(300);
    expect(sockets).toHaveLength(2);
    first.says(BEAT);
    expect(status()).toBe("broken");
  });

  it("that is quiet for longer than beats take says so, and is not given up for it", () => {
    const { last, told, sockets, status } = world();
    last().opens();
    vi.advanceTimersByTime(QUIET_MS + 1_000);
    expect(status(), "it has said nothing yet").toBe("connecting");
    last().says(BEAT);
    for (const _ of [1, 2]) {
      const heard = Date.now();
      vi.advanceTimersByTime(QUIET_MS - 1);
      expect(status()).toBe("live");
      vi.advanceTimersByTime(201);
      expect(told.at(-1)).toEqual({ kind: "quiet", sinceMs: heard });
      vi.advanceTimersByTime(SILENCE_MS - QUIET_MS - 1_000);
      last().says(BEAT);
      expect(status()).toBe("live");
    }
    expect(sockets).toHaveLength(1);
  });

  it("is not quiet because this page stood still itself", () => {
    const { last, told } = world();
    last().opens();
    last().says(BEAT);
    for (let times = 0; times < 20; times += 1) {
      // The clock goes on, and nothing of the page; then its timer comes before the message that waits.
      vi.setSystemTime(Date.now() + 20_000);
      vi.advanceTimersToNextTimer();
      last().says(BEAT);
    }
    expect(new Set(told.map((one) => one.kind))).toEqual(new Set(["connecting", "live"]));
  });

  it("is tried at once when someone looks, and after sleep is not believed", () => {
    const { connection, last, sockets, status } = world();
    last().opens();
    last().says(BEAT);
    connection.now();
    expect(sockets).toHaveLength(1);
    for (let attempt = 0; attempt < 6; attempt += 1) {
      last().breaks();
      vi.advanceTimersByTime(LONGEST_WAIT_MS);
    }
    last().breaks();
    const before = sockets.length;
    connection.now();
    expect(sockets).toHaveLength(before + 1);
    last().opens();
    last().says(BEAT);
    vi.setSystemTime(Date.now() + 3_600_000);
    connection.now();
    expect(sockets).toHaveLength(before + 2);
    expect(status()).toBe("broken");
  });

  it("that was never open, or was closed for the session, asks why", () => {
    const { last, refusals } = world();
    last().breaks();
    expect(refusals()).toBe(1);
    vi.advanceTimersByTime(300);
    last().opens();
    last().breaks();
    expect(refusals()).toBe(1);
    vi.advanceTimersByTime(600);
    last().opens();
    last().breaks(4403);
    expect(refusals()).toBe(2);
  });

  it("has forgotten of the one before whether it was heard, quiet or in doubt", () => {
    const { connection, last, told, status } = world();
    last().opens();
    last().says(BEAT);
    vi.advanceTimersByTime(QUIET_MS + 1_000);
    expect(status()).toBe("quiet");
    last().breaks();
    connection.now();
    last().opens();
    // Nothing was said by this one yet: that it is silent makes nothing quiet, it is still connecting.
    vi.advanceTimersByTime(QUIET_MS + 1_000);
    expect(status()).toBe("broken");
    last().says(BEAT);
    expect(status()).toBe("live");
    const heard = Date.now();
    vi.advanceTimersByTime(QUIET_MS + 200);
    expect(told.at(-1)).toEqual({ kind: "quiet", sinceMs: heard });
  });

  it("is given as long as any other, though the one before was in doubt", () => {
    const { connection, last, status, sockets } = world();
    last().opens();
    last().says(BEAT);
    vi.advanceTimersByTime(QUIET_MS + 10);
    last().breaks();
    connection.now();
    last().opens();
    // This page stood still: one look finds silence, and only a second one may believe it.
    vi.setSystemTime(Date.now() + SILENCE_MS + 1_000);
    vi.advanceTimersToNextTimer();
    expect(last().closed).toBe(false);
    last().says(BEAT);
    expect(status()).toBe("live");
    expect(sockets).toHaveLength(2);
  });

  it("is given no longer than any other, though the one before was quiet", () => {
    const { connection, last, status } = world();
    last().opens();
    last().says(BEAT);
    vi.advanceTimersByTime(QUIET_MS + 1_000);
    expect(status()).toBe("quiet");
    last().breaks();
    connection.now();
    const second = last();
    second.opens();
    vi.advanceTimersByTime(SILENCE_MS - 1);
    expect(second.closed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(second.closed).toBe(true);
  });

  it("begins anew after a message that it cannot read", () => {
    const { last, status, sockets } = world();
    last().opens();
    last().onmessage?.({ data: "{" });
    expect(status()).toBe("broken");
    vi.advanceTimersByTime(300);
    expect(sockets).toHaveLength(2);
  });

  it("that was ended stays so", () => {
    const { connection, last, sockets } = world();
    connection.end();
    expect(last().closed).toBe(true);
    connection.now();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});
