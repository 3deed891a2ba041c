/**
 * The service worker, where the browser takes one: not where the page's certificate is only put up with. Without it all
 * works but the frame when Nexus cannot be reached.
 */
import { tell } from "../actions/toasts";

let registered: ServiceWorkerRegistration | undefined;

export function installWorker(): void {
  const workers = navigator.serviceWorker;
  // Some contexts have none, whatever the types say.
  if (!workers || import.meta.env.DEV) return;
  const had = workers.controller !== null;
  let told = false;
  workers.addEventListener("controllerchange", () => {
    if (!had || told) return;
    told = true;
    tell(true, "Nexus has a newer panel", "load the page anew to have it");
  });
  workers.register("/sw.js").then(
    (found) => {
      registered = found;
    },
    () => undefined,
  );
}

/** Nexus has been away, and may be another version now. */
export function lookForUpdate(): void {
  registered?.update().catch(() => undefined);
}
