/**
 * Parts of the panel that come when they are needed. One that is lost on its way is asked for again: a machine that
 * changes its network, or wakes up, loses what it was waiting for, and whoever has just pressed a key should not notice.
 */

import { cutOff } from "../state/cut";

/** Between the tries. */
const PAUSES_MS = [200, 1_000, 3_000];
const RELOADED = "omnitide.reloaded";
/** A reload that did not help is not done again for so long: the page says what is the matter then. */
const AGAIN_MS = 60_000;

const FILE = /\/assets\/[\w.-]+\.(?:js|css)\b/;

/** What `load` imports. Throws what the last try threw. */
export async function retried<T>(load: () => Promise<T>): Promise<T> {
  let style = "";
  for (let tries = 0; ; tries++) {
    try {
      if (style) await linked(style);
      return await load();
    } catch (error) {
      const file = FILE.exec(String(error))?.[0] ?? "";
      // Vite asks for a style only once, and takes it for there the next time.
      if (file.endsWith(".css")) style = file;
      // While there is no connection it is waited for: then the part comes too.
      const pause = PAUSES_MS[tries] ?? (cutOff() ? PAUSES_MS.at(-1) : undefined);
      if (pause === undefined || (await isGone(file))) {
        await reload();
        throw error;
      }
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }
}

function linked(file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = file;
    link.onload = () => resolve();
    link.onerror = () => {
      link.remove();
      reject(new Error(`the style ${file} does not come`));
    };
    document.head.append(link);
  });
}

/** A panel that was built anew has other files; trying again would not bring back the old ones. */
async function isGone(file: string): Promise<boolean> {
  if (!file) return false;
  try {
    return (await fetch(file, { method: "HEAD", cache: "no-store" })).status === 404;
  } catch {
    return false;
  }
}

/** Once, and only where Nexus answers: a reload would take away the page that there is. */
async function reload(): Promise<void> {
  const before = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (Date.now() - before < AGAIN_MS) return;
  try {
    const answer = await fetch("/", { method: "HEAD", cache: "no-store", headers: { Accept: "text/html" } });
    if (!answer.ok) return;
  } catch {
    return;
  }
  sessionStorage.setItem(RELOADED, String(Date.now()));
  location.reload();
}
