/** When this browser saw the fabric last, kept for a page that is opened when Nexus cannot be reached. */
const KEY = "omnitide.last-seen";
/** Written no more often: each is a write to a disk. */
const EVERY_MS = 10_000;

let writtenMs = 0;

/** By this browser's own clock: it is what the page reads it by. */
export function seen(nowMs: number = Date.now()): void {
  if (nowMs - writtenMs < EVERY_MS && nowMs >= writtenMs) return;
  writtenMs = nowMs;
  try {
    localStorage.setItem(KEY, String(nowMs));
  } catch {
    // Then nobody is told when.
  }
}

/** 0: never, or it is not known. */
export function lastSeenMs(): number {
  try {
    const found = Number(localStorage.getItem(KEY));
    return Number.isFinite(found) && found > 0 ? found : 0;
  } catch {
    return 0;
  }
}
