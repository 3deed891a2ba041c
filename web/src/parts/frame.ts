/**
 * The frame that index.html has: words that are seen at once. Where the panel's script is there as early as that, as on a
 * line that is near or from a browser's store, it would take the frame's place before anybody has seen it, and what is
 * seen first would come later by all that the panel does until then.
 */

/** A window that nobody sees, though the browser takes it for seen, is painted at no time. */
const LONGEST_MS = 1_000;
const PAINTED = "first-contentful-paint";

/** Resolves once the frame has been painted; at once where it is not shown, or nobody sees it, or the browser does not say so. */
export async function frameSeen(): Promise<void> {
  if (document.documentElement.dataset.session === undefined || document.hidden) return;
  if (!PerformanceObserver.supportedEntryTypes.includes("paint")) return;
  if (performance.getEntriesByName(PAINTED).length) return;
  await new Promise<void>((resolve) => {
    const observer = new PerformanceObserver((list) => {
      if (list.getEntriesByName(PAINTED).length) end();
    });
    const timer = setTimeout(() => end(), LONGEST_MS);
    const end = () => {
      clearTimeout(timer);
      observer.disconnect();
      resolve();
    };
    observer.observe({ type: "paint", buffered: true });
  });
}
