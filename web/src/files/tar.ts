/**
 * Tar streams, as `cp` carries them: heads are made for what is sent, and read from what comes, piece by piece. POSIX.1-1988
 * (ustar) with the `path` and `size` of POSIX.1-2001 (pax) and GNU's long names. Pure.
 */

export const BLOCK = 512;
/** A head that tells of another is no longer: names are 4 KiB at most. */
const MOST_TOLD = 64 << 10;

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export type EntryKind = "file" | "folder" | "link" | "other";

export interface Entry {
  name: string;
  kind: EntryKind;
  size: number;
  mode: number;
  changedMs: number;
}

/** What comes is no tar stream. */
export class NoTar extends Error {}

// -- what is sent --

/** The head of a file. The body follows, then `padding`. */
export function headOf(name: string, size: number, changedMs: number): Uint8Array<ArrayBuffer> {
  const bytes = ENCODER.encode(name);
  const plain = bytes.length <= 100 && size < 8 ** 11;
  const last = header(
    plain ? bytes : ENCODER.encode("long"),
    plain ? size : Math.min(size, 8 ** 11 - 1),
    changedMs,
    "0",
  );
  if (plain) return last;
  const records = ENCODER.encode(record("path", name) + record("size", String(size)));
  const more = header(ENCODER.encode("PaxHeader"), records.length, changedMs, "x");
  const whole = new Uint8Array(BLOCK + records.length + padding(records.length) + BLOCK);
  whole.set(more);
  whole.set(records, BLOCK);
  whole.set(last, whole.length - BLOCK);
  return whole;
}

/** Bytes that fill up the last block. */
export function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

export const END = new Uint8Array(2 * BLOCK);

function record(key: string, value: string): string {
  // Its length counts its own digits.
  const rest = ENCODER.encode(` ${key}=${value}\n`).length;
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return `${length} ${key}=${value}\n`;
}

function header(name: Uint8Array, size: number, changedMs: number, type: string): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(ENCODER.encode(text), at);
  const octal = (at: number, digits: number, value: number) => put(at, value.toString(8).padStart(digits, "0"));
  block.set(name);
  octal(100, 7, 0o644);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, size);
  octal(136, 11, Math.max(0, Math.min(8 ** 11 - 1, Math.floor(changedMs / 1000))));
  put(148, "        ");
  put(156, type);
  put(257, "ustar");
  put(263, "00");
  octal(
    148,
    6,
    block.reduce((sum, one) => sum + one, 0),
  );
  block[154] = 0;
  return block;
}

// -- what comes --

export interface Reader {
  /** Another entry; its content, if it has any, follows. False: nothing more is wanted. */
  entry(entry: Entry): boolean;
  /** Of the entry that was told last. */
  content?(piece: Uint8Array<ArrayBuffer>): void;
}

/** Reads piece by piece; whatever is too long for its place is refused. */
export class TarReader {
  readonly #reader: Reader;
  #head = new Uint8Array(BLOCK);
  #filled = 0;
  #left = 0;
  #pad = 0;
  #telling: "" | "x" | "L" | "skip" = "";
  #told = new Uint8Array(0);
  #longName = "";
  #longSize = -1;
  /** The end of the archive has been seen, or nothing more is wanted. */
  done = false;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** Throws NoTar. */
  take(piece: Uint8Array<ArrayBuffer>): void {
    let rest = piece;
    while (rest.length && !this.done) {
      if (this.#left > 0) {
        const part = rest.subarray(0, Math.min(this.#left, rest.length));
        this.#body(part);
        this.#left -= part.length;
        rest = rest.subarray(part.length);
        if (this.#left === 0) this.#bodyOver();
      } else if (this.#pad > 0) {
        const skipped = Math.min(this.#pad, rest.length);
        this.#pad -= skipped;
        rest = rest.subarray(skipped);
      } else {
        const part = rest.subarray(0, BLOCK - this.#filled);
        this.#head.set(part, this.#filled);
        this.#filled += part.length;
        rest = rest.subarray(part.length);
        if (this.#filled === BLOCK) {
          this.#filled = 0;
          this.#headRead();
        }
      }
    }
  }

  #headRead(): void {
    const head = this.#head;
    if (head.every((one) => one === 0)) {
      this.done = true;
      return;
    }
    const sum = head.reduce((all, one, at) => all + (at >= 148 && at < 156 ? 32 : one), 0);
    if (sum !== numberAt(head, 148, 8)) throw new NoTar("a head of the tar stream is broken");
    const type = String.fromCharCode(head[156] ?? 0);
    const ownSize = numberAt(head, 124, 12);
    if (type === "x" || type === "L" || type === "g" || type === "K") {
      if (ownSize > MOST_TOLD) throw new NoTar("a name in the tar stream is longer than names are");
      this.#telling = type === "x" || type === "L" ? type : "skip";
      this.#told = new Uint8Array(ownSize);
      this.#begin(ownSize);
      return;
    }
    const size = this.#longSize >= 0 ? this.#longSize : ownSize;
    const prefix = textAt(head, 257, 5) === "ustar" ? textAt(head, 345, 155) : "";
    const short = textAt(head, 0, 100);
    const name = this.#longName || (prefix ? `${prefix}/${short}` : short);
    this.#longName = "";
    this.#longSize = -1;
    const kind = kindOf(type);
    const entry = { name, kind, size, mode: numberAt(head, 100, 8), changedMs: numberAt(head, 136, 12) * 1000 };
    this.#telling = "";
    if (!this.#reader.entry(entry)) {
      this.done = true;
      return;
    }
    // Links have no content, whatever the size says.
    this.#begin(kind === "file" || kind === "other" ? size : 0);
  }

  #begin(size: number): void {
    this.#left = size;
    this.#pad = padding(size);
    if (size === 0) this.#bodyOver();
  }

  #body(part: Uint8Array<ArrayBuffer>): void {
    if (this.#telling) this.#told.set(part, this.#told.length - this.#left);
    else this.#reader.content?.(part);
  }

  #bodyOver(): void {
    if (this.#telling === "L") this.#longName = textAt(this.#told, 0, this.#told.length);
    if (this.#telling === "x") {
      const found = records(this.#told);
      this.#longName = found.get("path") ?? this.#longName;
      const size = found.get("size");
      if (size !== undefined && /^\d+$/.test(size)) this.#longSize = Number(size);
    }
    this.#telling = "";
  }
}

function kindOf(type: string): EntryKind {
  if (type === "0" || type === "\0" || type === "7") return "file";
  if (type === "5") return "folder";
  return type === "1" || type === "2" ? "link" : "other";
}

function textAt(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return DECODER.decode(end < 0 ? field : field.subarray(0, end));
}

function numberAt(block: Uint8Array, at: number, length: number): number {
  if ((block[at] ?? 0) & 0x80) {
    // GNU's: what octal digits have no room for.
    let value = (block[at] ?? 0) & 0x7f;
    for (let index = at + 1; index < at + length; index += 1) value = value * 256 + (block[index] ?? 0);
    if (value > Number.MAX_SAFE_INTEGER) throw new NoTar("a number in the tar stream is too large");
    return value;
  }
  const text = textAt(block, at, length).trim();
  if (text && !/^[0-7]+$/.test(text)) throw new NoTar("a number in the tar stream cannot be read");
  return text ? Number.parseInt(text, 8) : 0;
}

/** `LENGTH KEY=VALUE\n`, each. */
function records(bytes: Uint8Array): Map<string, string> {
  const found = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const space = bytes.indexOf(32, at);
    const length = space < 0 ? Number.NaN : Number(DECODER.decode(bytes.subarray(at, space)));
    if (!Number.isInteger(length) || length < 5 || at + length > bytes.length) {
      throw new NoTar("a head of the tar stream is broken");
    }
    const text = DECODER.decode(bytes.subarray(space + 1, at + length - 1));
    const equals = text.indexOf("=");
    found.set(text.slice(0, equals), text.slice(equals + 1));
    at += length;
  }
  return found;
}
