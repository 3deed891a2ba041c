/** Files that were dropped on the page or chosen, as texts, on their way to the page that takes them. */
import { createSignal } from "solid-js";

export interface Dropped {
  /** With the folders that were dropped. */
  path: string;
  text: string;
}

/** What Nexus takes. */
export const MOST_FILES = 100;
export const MOST_BYTES = 512 << 10;

const [dropped, setDropped] = createSignal<readonly Dropped[]>();

export { dropped, setDropped };

export class TooMuch extends Error {}

/** Throws TooMuch. Files that are no text are left out; nothing of them could be imported. */
export async function textsOf(files: readonly { path: string; file: File }[]): Promise<Dropped[]> {
  if (files.length > MOST_FILES)
    throw new TooMuch(`${files.length} files were given; ${MOST_FILES} are taken at a time`);
  const size = files.reduce((sum, one) => sum + one.file.size, 0);
  if (size > MOST_BYTES) {
    throw new TooMuch(
      `The files have ${size >> 10} KiB together; ${MOST_BYTES >> 10} KiB are taken. Drop those alone that belong to the Compose file`,
    );
  }
  const found = await Promise.all(files.map(async ({ path, file }) => ({ path, text: await file.text() })));
  return found.filter((one) => !one.text.includes("\u0000"));
}

export function ofList(list: FileList | readonly File[]): { path: string; file: File }[] {
  return [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Folders too, where a browser gives them. Has to be called while the event is under way. */
export async function ofDrop(transfer: DataTransfer): Promise<{ path: string; file: File }[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const plain = ofList(transfer.files);
  if (!entries.some((entry) => entry?.isDirectory)) return plain;
  const found: { path: string; file: File }[] = [];
  const walk = async (entry: FileSystemEntry): Promise<void> => {
    // One more than is taken, so that it is said.
    if (found.length > MOST_FILES) return;
    if (entry.isFile) {
      const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
      found.push({ path: entry.fullPath.replace(/^\//, ""), file });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const one of some) if (!/^(\.git|node_modules)$/.test(one.name)) await walk(one);
    }
  };
  for (const entry of entries) if (entry) await walk(entry);
  return found;
}

const COMPOSE_NAME = /^(docker-)?compose([.-][\w.-]+)?\.ya?ml$/;

export function isCompose(one: Dropped): boolean {
  const name = one.path.split("/").at(-1) ?? "";
  return COMPOSE_NAME.test(name) || (/\.ya?ml$/.test(name) && /^(services|include):/m.test(one.text));
}

/** What Compose may take: of what is given besides, nothing is a Compose file, whatever a person ticks. */
export function mayBeCompose(one: Dropped): boolean {
  return /\.(ya?ml|json)$/i.test(one.path);
}

/** The folder that was dropped, by which Compose names a project; empty where files came without one. */
export function folderOf(files: readonly Dropped[]): string {
  const folders = new Set(files.map((one) => (one.path.includes("/") ? one.path.split("/")[0] : "")));
  const [only = ""] = folders;
  return folders.size === 1 ? only : "";
}

/**
 * What the project is called where its files do not say it: the folder that was dropped, as with Compose; of one file alone
 * its name (`shop.yaml`, `shop.compose.yml`), unless that is what Compose files are called anyway. Empty: nobody knows.
 */
export function projectOf(files: readonly Dropped[], compose: readonly string[]): string {
  const folder = folderOf(files);
  const [only] = compose;
  if (folder || !only || compose.length > 1) return folder;
  const file = only.split("/").at(-1) ?? "";
  if (COMPOSE_NAME.test(file)) return "";
  const stem = file.replace(/\.ya?ml$/i, "").replace(/[-_.]?(docker-?)?compose$/i, "");
  // As Compose writes the name of a folder.
  return stem
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");
}

/** Whether they name their project themselves: a Compose file, or the variables beside it. */
export function namesProject(files: readonly Dropped[], compose: readonly string[]): boolean {
  if (files.some((one) => one.path === ".env" && /^\s*(export\s+)?COMPOSE_PROJECT_NAME\s*=\s*\S/m.test(one.text)))
    return true;
  return files.some((one) => compose.includes(one.path) && /^(name|"name"|'name')\s*:/m.test(one.text));
}

/** One file alone that is no Compose file, and may be an agent as text. */
export function manifestOf(files: readonly Dropped[]): Dropped | undefined {
  const [only] = files;
  return only && files.length === 1 && /\.(toml|ya?ml|json)$/.test(only.path) && !isCompose(only) ? only : undefined;
}

/** The Compose files among them, as Compose would take them: those of the folder that is nearest, an override last. */
export function composeOf(files: readonly Dropped[]): string[] {
  const found = files.filter(isCompose).map((one) => one.path);
  const depth = Math.min(...found.map((path) => path.split("/").length));
  const near = found.filter((path) => path.split("/").length === depth);
  const named = near.filter((path) => COMPOSE_NAME.test(path.split("/").at(-1) ?? ""));
  const of = named.length ? named : near.slice(0, 1);
  return of.sort(
    (one, other) => Number(/override/.test(one)) - Number(/override/.test(other)) || one.length - other.length,
  );
}

/** A folder that all are in says nothing. */
export function withoutFolder(files: readonly Dropped[]): Dropped[] {
  const [first] = files;
  const folder = first?.path.includes("/") ? `${first.path.split("/")[0]}/` : "";
  if (!folder || files.some((one) => !one.path.startsWith(folder))) return [...files];
  return files.map((one) => ({ ...one, path: one.path.slice(folder.length) }));
}
