/**
 * One program in an instance, over one WebSocket, from its start to its end. It is started once: a connection that broke
 * is told as such and never tried again, for a second one would run the program a second time.
 */

/** Bytes of data that each side may have under way without the other having said that it has dealt with them. */
export const WINDOW = 256 << 10;
export const CHUNK = 64 << 10;
/** What was typed or pasted and waits for the program to read it; more is refused. */
export const MOST_WAITING = 1 << 20;

const STREAMS = 1;

export interface Wanted {
  command: readonly string[];
  rows: number;
  columns: number;
}

export type End =
  | { kind: "exited"; code: number | null; signal: number | null }
  | { kind: "refused"; code: string; message: string; hint: string }
  /** It ran, and what is between it and here did not go on. */
  | { kind: "broke"; message: string; hint: string }
  /** Whether the program goes on is not known here; Nexus ends it when it sees that nobody listens. */
  | { kind: "cut"; started: boolean };

export interface Listener {
  started(): void;
  /** `dealt`: to be called when it has been shown, for the program is not read any faster. */
  output(data: Uint8Array, dealt: () => void): void;
  ended(end: End): void;
}

interface Told {
  started?: boolean;
  taken?: number;
  exited?: { code: number | null; signal: number | null };
  problem?: { code: string; detail: string; hint?: string };
}

export class Wire {
  readonly #socket: WebSocket;
  readonly #listener: Listener;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #waitingBytes = 0;
  #credit = WINDOW;
  #started = false;
  #over = false;

  constructor(socket: WebSocket, wanted: Wanted, listener: Listener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      const { command, rows, columns } = wanted;
      const environment = { TERM: "xterm-256color", COLORTERM: "truecolor" };
      this.#say({ exec: { command, terminal: true, rows, columns, environment } });
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (this.#over) return;
      if (typeof event.data === "string") this.#told(event.data);
      else this.#output(new Uint8Array(event.data));
    };
    socket.onclose = () => this.#end({ kind: "cut", started: this.#started });
  }

  /** False if so much waits already that this was not taken. */
  send(data: Uint8Array<ArrayBuffer>): boolean {
    if (this.#over) return true;
    if (this.#waitingBytes + data.length > MOST_WAITING) return false;
    this.#waiting.push(data);
    this.#waitingBytes += data.length;
    this.#flush();
    return true;
  }

  resize(rows: number, columns: number): void {
    if (this.#started && !this.#over) this.#say({ resize: { rows, columns } });
  }

  /** Whoever looked has left: Nexus ends the program. */
  leave(): void {
    this.#over = true;
    this.#socket.close();
  }

  #told(text: string): void {
    let told: Told;
    try {
      told = JSON.parse(text) as Told;
    } catch {
      this.#fail("unreadable", "Nexus sent what cannot be read");
      return;
    }
    if (told.started && !this.#started) {
      this.#started = true;
      this.#listener.started();
      this.#flush();
    }
    if (told.taken) {
      this.#credit = Math.min(WINDOW, this.#credit + told.taken);
      this.#flush();
    }
    if (told.exited) this.#end({ kind: "exited", ...told.exited });
    if (told.problem) {
      const { code, detail, hint } = told.problem;
      this.#fail(code, detail, hint);
    }
  }

  #fail(code: string, message: string, hint = ""): void {
    this.#end(this.#started ? { kind: "broke", message, hint } : { kind: "refused", code, message, hint });
  }

  #output(message: Uint8Array): void {
    const data = message.subarray(STREAMS);
    if (data.length) this.#listener.output(data, () => this.#say({ taken: data.length }));
  }

  #flush(): void {
    while (this.#started && this.#credit > 0) {
      const first = this.#waiting[0];
      if (!first) return;
      const size = Math.min(first.length, CHUNK, this.#credit);
      this.#socket.send(first.subarray(0, size));
      this.#credit -= size;
      this.#waitingBytes -= size;
      if (size === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(size);
    }
  }

  #say(message: object): void {
    if (!this.#over && this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #end(end: End): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting = [];
    this.#listener.ended(end);
    this.#socket.close();
  }
}
