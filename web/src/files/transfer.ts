/** Files of an instance: what is there, out of it and into it. Each can be given up at any time by its signal. */
import { Refused, refusal } from "../api/client";
import { proof } from "../api/session";
import type { Problem } from "../api/types";
import { END, type Entry, headOf, NoTar, padding, TarReader } from "./tar";

/** A folder is read by its tar stream, which has what the files hold too: so much of it, then what was found is shown. */
export const LOOK_BYTES = 16 << 20;
export const LOOK_ENTRIES = 1_000;
export const LOOK_MS = 8_000;
/** A browser keeps a download until it is whole; what is larger is a matter for the command line. */
export const MOST_BYTES = 2 * 2 ** 30;
/** So much is handed to the browser at once, which may put it on a disk. */
const PART = 16 << 20;

export interface Looked {
  entries: Entry[];
  /** Why it is not the whole folder; empty if it is. */
  cut: string;
}

function address(instance: string, path: string): string {
  return `/v1/instances/${encodeURIComponent(instance)}/files?${new URLSearchParams({ path })}`;
}

async function opened(instance: string, path: string, signal: AbortSignal): Promise<ReadableStreamDefaultReader> {
  let response: Response;
  try {
    response = await fetch(address(instance, path), {
      headers: { Accept: "application/x-tar", "Omnitide-Proof": proof() },
      credentials: "same-origin",
      cache: "no-store",
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused("unreachable", "Nexus cannot be reached");
  }
  if (!response.ok || !response.body) throw await refusal(response);
  return response.body.getReader();
}

/** What is in a folder, or the file itself. Throws Refused. */
export async function look(instance: string, path: string, signal: AbortSignal): Promise<Looked> {
  const found = new Map<string, Entry>();
  let cut = "";
  let depth = -1;
  const reader = new TarReader({
    entry: (entry) => {
      const parts = entry.name.split("/").filter((one) => one && one !== ".");
      if (depth < 0) {
        // The first is the folder itself, by the name that it has in the one above; a file stands for itself.
        depth = parts.length;
        if (entry.kind === "folder") return true;
        found.set(entry.name, { ...entry, name: parts.at(-1) ?? entry.name });
        return false;
      }
      const name = parts[depth];
      if (name && parts.length === depth + 1) found.set(name, { ...entry, name });
      if (found.size >= LOOK_ENTRIES) cut = `These are the first ${LOOK_ENTRIES}; there may be more.`;
      return !cut;
    },
  });
  const stream = await opened(instance, path, signal);
  const began = performance.now();
  let bytes = 0;
  try {
    while (!reader.done) {
      const { value, done } = await stream.read();
      if (done) break;
      bytes += value.length;
      reader.take(value);
      if (!reader.done && (bytes > LOOK_BYTES || performance.now() - began > LOOK_MS)) {
        cut = "The folder holds much: this is what was found until looking was ended. There may be more.";
        break;
      }
    }
  } catch (error) {
    throw brokenOff(error, signal);
  } finally {
    void stream.cancel().catch(() => undefined);
  }
  return { entries: [...found.values()].sort(foldersFirst), cut };
}

const NAMES = new Intl.Collator("en", { numeric: true });

function foldersFirst(a: Entry, b: Entry): number {
  return Number(b.kind === "folder") - Number(a.kind === "folder") || NAMES.compare(a.name, b.name);
}

export interface Fetched {
  blob: Blob;
  /** As it is to be called here. */
  name: string;
}

/** A file as it is, a folder as a tar file. Throws Refused. */
export async function fetchFile(
  instance: string,
  path: string,
  progress: (bytes: number, whole: number) => void,
  signal: AbortSignal,
): Promise<Fetched> {
  const stream = await opened(instance, path, signal);
  const parts: Blob[] = [];
  let held: Uint8Array<ArrayBuffer>[] = [];
  let heldBytes = 0;
  let bytes = 0;
  let file: Entry | undefined;
  let first = true;
  /** What came before it was known what it is. */
  const early: Uint8Array<ArrayBuffer>[] = [];
  const keep = (piece: Uint8Array<ArrayBuffer>) => {
    held.push(piece);
    heldBytes += piece.length;
    bytes += piece.length;
    if (bytes > MOST_BYTES) throw new Refused("too-large", "more than 2 GiB: a browser is no place for that");
    if (heldBytes < PART) return;
    parts.push(new Blob(held));
    held = [];
    heldBytes = 0;
  };
  const reader = new TarReader({
    entry: (entry) => {
      if (first && entry.kind === "file") file = entry;
      const wanted = first;
      first = false;
      return wanted;
    },
    content: keep,
  });
  try {
    for (;;) {
      const { value, done } = await stream.read();
      if (done) break;
      if (first || file) {
        if (first) early.push(value);
        reader.take(value);
        // The first head says that it is a folder: then the stream itself is what is kept.
        if (!first && !file) early.splice(0).forEach(keep);
      } else keep(value);
      progress(bytes, file?.size ?? 0);
    }
  } catch (error) {
    throw brokenOff(error, signal);
  } finally {
    void stream.cancel().catch(() => undefined);
  }
  if (file && bytes !== file.size) throw new Refused("reach-failed", "the copy broke off before it was whole");
  const own = path.split("/").findLast((one) => one && one !== ".") ?? "files";
  return { blob: new Blob([...parts, ...held]), name: file ? own : `${own}.tar` };
}

function brokenOff(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted || error instanceof Refused) return error;
  if (error instanceof NoTar) return new Refused("unreadable", error.message);
  return new Refused("reach-failed", "the copy broke off before it was whole");
}

/** Files into a folder that is there; each takes the place of one of its name. Throws Refused. */
export function sendFiles(
  instance: string,
  folder: string,
  files: readonly File[],
  progress: (bytes: number, whole: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const body = new Blob([
    ...files.flatMap((file) => [
      headOf(file.name, file.size, file.lastModified),
      file,
      new Uint8Array(padding(file.size)),
    ]),
    END,
  ]);
  // fetch() does not tell how much has been sent.
  return new Promise((resolve, reject) => {
    const asked = new XMLHttpRequest();
    asked.open("PUT", address(instance, folder));
    asked.setRequestHeader("Content-Type", "application/x-tar");
    asked.setRequestHeader("Omnitide-Proof", proof());
    asked.upload.onprogress = (event) => progress(event.loaded, event.total);
    asked.onload = () => {
      if (asked.status < 300) resolve();
      else reject(refusalOf(asked));
    };
    asked.onerror = () =>
      reject(new Refused("unreachable", "the connection broke, or a file was changed or taken away while it was sent"));
    asked.onabort = () => reject(new DOMException("given up", "AbortError"));
    signal.addEventListener("abort", () => asked.abort());
    if (signal.aborted) reject(new DOMException("given up", "AbortError"));
    else asked.send(body);
  });
}

function refusalOf(asked: XMLHttpRequest): Refused {
  try {
    const told = JSON.parse(asked.responseText) as Problem;
    return new Refused(told.code, told.detail, told.hint ?? "");
  } catch {
    return new Refused("unreadable", `Nexus answered with status ${asked.status} and without a reason`);
  }
}
