/**
 * One WebSocket to Nexus for all pages. It is kept up: after a break it is tried again, sooner first and seldomer later,
 * and at once when the page is looked at again or the network is back. Silence longer than beats allow is said soon; only
 * after long it is a break, since a Nexus that is busy would be no less so with all of its panels connecting anew.
 */
import { type Frame, read, Unreadable } from "./frames";

/** Beats come every 2 s: after two that are missed what is shown may be old, which is said. */
export const QUIET_MS = 5_000;
/** Then the connection is given up for a new one. */
export const SILENCE_MS = 12_000;
export const FIRST_WAIT_MS = 250;
export const LONGEST_WAIT_MS = 5_000;

export type Status =
  | { kind: "connecting" }
  | { kind: "live" }
  /** It is open, and nothing has come for longer than beats take; `sinceMs`: since then, by this page's clock. */
  | { kind: "quiet"; sinceMs: number }
  /** `sinceMs`: by this page's clock. What is shown is as it was then. */
  | { kind: "broken"; sinceMs: number; attempts: number };

/** What is shown may be old. */
export function isStale(status: Status): boolean {
  return status.kind === "broken" || status.kind === "quiet";
}

export interface Outside {
  open(): WebSocket;
  nowMs(): number;
  /** Evenly between 0 and 1. */
  chance(): number;
}

export interface Listener {
  frame(frame: Frame): void;
  /** All that was received is worth nothing to what comes next. */
  begin(): void;
  status(status: Status): void;
  /** It broke before it was open, which may be for want of a session: browsers do not say why. */
  refused(): void;
}

export class Connection {
  readonly #outside: Outside;
  readonly #listener: Listener;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heardMs = 0;
  /** Anything, over this socket. */
  #heard = false;
  /** Nothing for longer than beats take. */
  #quiet = false;
  #doubted = false;
  #attempts = 0;
  #brokenMs = 0;
  #ended = false;

  constructor(outside: Outside, listener: Listener) {
    this.#outside = outside;
    this.#listener = listener;
  }

  start(): void {
    this.#ended = false;
    this.#listener.status({ kind: "connecting" });
    this.#open();
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#drop();
  }

  /** Whoever looks should not wait for the next attempt; a connection that slept may not know that it is dead. */
  now(): void {
    if (this.#ended) return;
    const silent = this.#silentMs() > SILENCE_MS;
    if (this.#socket !== null && !(this.#socket.readyState === WebSocket.OPEN && silent)) return;
    clearTimeout(this.#timer);
    if (this.#socket !== null) {
      this.#drop();
      this.#broke(this.#heardMs);
      clearTimeout(this.#timer);
    }
    this.#open();
  }

  #open(): void {
    let opened = false;
    const socket = this.#outside.open();
    this.#socket = socket;
    this.#heardMs = this.#outside.nowMs();
    this.#heard = this.#quiet = this.#doubted = false;
    this.#watch(socket);
    socket.onopen = () => {
      if (this.#socket !== socket) return;
      opened = true;
      this.#listener.begin();
    };
    socket.onmessage = (event) => {
      if (this.#socket !== socket) return;
      this.#heardMs = this.#outside.nowMs();
      try {
        const frame = read(String(event.data));
        if (frame) this.#listener.frame(frame);
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        this.#drop();
        this.#broke();
        return;
      }
      this.#heard = true;
      this.#doubted = false;
      if (this.#quiet) {
        this.#quiet = false;
        this.#watch(socket);
      }
      if (this.#attempts > 0 || this.#brokenMs > 0) {
        this.#attempts = 0;
        this.#brokenMs = 0;
      }
      this.#listener.status({ kind: "live" });
    };
    socket.onclose = (event) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      // 4401 and 4403: the session ended while it was open.
      if (!opened || event.code === 4401 || event.code === 4403) this.#listener.refused();
      this.#broke();
    };
  }

  #watch(socket: WebSocket): void {
    clearTimeout(this.#timer);
    const left = (this.#quiet ? SILENCE_MS : QUIET_MS) - this.#silentMs();
    this.#timer = setTimeout(() => this.#look(socket), Math.max(100, left));
  }

  #look(socket: WebSocket): void {
    if (this.#socket !== socket) return;
    const silentMs = this.#silentMs();
    // This page may have stood still itself, and what came meanwhile waits to be taken in: it is looked at once more.
    const twice = this.#doubted;
    this.#doubted = silentMs >= QUIET_MS;
    if (twice && silentMs >= SILENCE_MS) {
      this.#drop();
      this.#broke(this.#heardMs);
      return;
    }
    // Not of one that has never said anything: it is still connecting.
    if (twice && silentMs >= QUIET_MS && !this.#quiet) {
      this.#quiet = true;
      if (this.#heard) this.#listener.status({ kind: "quiet", sinceMs: this.#heardMs });
    }
    this.#watch(socket);
  }

  #silentMs(): number {
    return this.#outside.nowMs() - this.#heardMs;
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  /** `sinceMs`: where it was dead before that was seen. */
  #broke(sinceMs: number = this.#outside.nowMs()): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    if (!this.#brokenMs) this.#brokenMs = sinceMs;
    this.#attempts += 1;
    this.#listener.status({ kind: "broken", sinceMs: this.#brokenMs, attempts: this.#attempts });
    const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#attempts - 1, 10));
    this.#timer = setTimeout(() => this.#open(), ceiling * (0.5 + this.#outside.chance() / 2));
  }
}
