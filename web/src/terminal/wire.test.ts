import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CHUNK, type End, MOST_WAITING, WINDOW, Wire } from "./wire";

/** A socket at the other end of which the test is. */
class Socket {
  static readonly OPEN = 1;
  readyState = 0;
  binaryType = "";
  sent: (string | Uint8Array)[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  onclose: (() => void) | null = null;

  send(data: string | Uint8Array): void {
    this.sent.push(data);
  }

  opens(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  writes(stream: number, text: string): void {
    this.onmessage?.({ data: new Uint8Array([stream, ...new TextEncoder().encode(text)]).buffer });
  }

  breaks(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  close(): void {
    this.readyState = 3;
  }
}

beforeEach(() => {
  vi.stubGlobal("WebSocket", Socket);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

function world() {
  const socket = new Socket();
  const ends: End[] = [];
  const seen: string[] = [];
  const waiting: (() => void)[] = [];
  let started = 0;
  const wire = new Wire(
    socket as unknown as WebSocket,
    { command: ["sh"], rows: 24, columns: 80 },
    {
      started: () => {
        started += 1;
      },
      output: (data, dealt) => {
        seen.push(new TextDecoder().decode(data));
        waiting.push(dealt);
      },
      ended: (end) => ends.push(end),
    },
  );
  const told = () => socket.sent.flatMap((one) => (typeof one === "string" ? [JSON.parse(one)] : []));
  const typed = () => socket.sent.reduce((sum, one) => sum + (typeof one === "string" ? 0 : one.length), 0);
  return { socket, wire, ends, seen, waiting, told, typed, starts: () => started };
}

describe("a program over a wire", () => {
  it("is named once, and what is typed before it runs waits for it", () => {
    const { socket, wire, told, typed, starts } = world();
    socket.opens();
    expect(told()).toEqual([
      { exec: expect.objectContaining({ command: ["sh"], terminal: true, rows: 24, columns: 80 }) },
    ]);
    wire.send(new Uint8Array(3));
    expect(typed()).toBe(0);
    socket.says({ started: true });
    expect(typed()).toBe(3);
    expect(starts()).toBe(1);
  });

  it("is read no faster than it is shown", () => {
    const { socket, seen, waiting, told } = world();
    socket.opens();
    socket.says({ started: true });
    socket.writes(1, "four");
    expect(seen).toEqual(["four"]);
    expect(told().some((one) => "taken" in one)).toBe(false);
    waiting[0]?.();
    expect(told().at(-1)).toEqual({ taken: 4 });
  });

  it("is sent no more than it has room for, in pieces, and what is too much is refused", () => {
    const { socket, wire, typed } = world();
    socket.opens();
    socket.says({ started: true });
    expect(wire.send(new Uint8Array(MOST_WAITING))).toBe(true);
    expect(typed()).toBe(WINDOW);
    for (const one of socket.sent) if (typeof one !== "string") expect(one.length).toBeLessThanOrEqual(CHUNK);
    expect(wire.send(new Uint8Array(WINDOW + 1))).toBe(false);
    socket.says({ taken: 100 });
    expect(typed()).toBe(WINDOW + 100);
  });

  it("that is cut off says so once, and nothing is run again", () => {
    const { socket, ends, told } = world();
    socket.opens();
    socket.says({ started: true });
    socket.breaks();
    socket.breaks();
    expect(ends).toEqual([{ kind: "cut", started: true }]);
    expect(told().filter((one) => "exec" in one)).toHaveLength(1);
  });

  it("ends with its code, or with the reason why there is none", () => {
    const one = world();
    one.socket.opens();
    one.socket.says({ exited: { code: 3, signal: null } });
    one.socket.breaks();
    expect(one.ends).toEqual([{ kind: "exited", code: 3, signal: null }]);
    const other = world();
    other.socket.opens();
    other.socket.says({ problem: { code: "not-running", detail: "it does not run" } });
    expect(other.ends).toEqual([{ kind: "refused", code: "not-running", message: "it does not run", hint: "" }]);
  });

  it("was not refused if it ran before it broke", () => {
    const { socket, ends } = world();
    socket.opens();
    socket.says({ started: true });
    socket.says({ problem: { code: "node-unreachable", detail: "the stream from the node broke" } });
    expect(ends).toEqual([{ kind: "broke", message: "the stream from the node broke", hint: "" }]);
  });

  it("is told of another size only while it runs", () => {
    const { socket, wire, told } = world();
    socket.opens();
    wire.resize(10, 20);
    expect(told()).toHaveLength(1);
    socket.says({ started: true });
    wire.resize(30, 100);
    expect(told().at(-1)).toEqual({ resize: { rows: 30, columns: 100 } });
  });
});
