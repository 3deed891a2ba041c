/**
 * The service worker: keeps the panel's own files, so that its frame is there when Nexus is not. It never keeps, gives or
 * even sees what Nexus answers below /v1: what is shown of the fabric is asked for, or not shown.
 *
 * The build puts VERSION (a digest of all files) and SHELL (those of a first look) before this; see vite.config.ts.
 */
/* global VERSION, SHELL */
const PREFIX = "omnitide-shell-";
const CACHE = `${PREFIX}${VERSION}`;
/** A Nexus that does not answer a page within this is taken for one that cannot be reached. */
const PATIENCE_MS = 4_000;

addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      // Nexus gives its page to whoever asks for one.
      const asked = { cache: "no-cache", headers: { Accept: "text/html,*/*" } };
      await cache.addAll(SHELL.map((path) => new Request(path, asked)));
      // Files have digests in their names: a page of the version before finds its own, or loads itself anew.
      await skipWaiting();
    })(),
  );
});

addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      await navigator.locks.request(PREFIX, async () => {
        for (const name of await caches.keys()) {
          if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
        }
      });
      await clients.claim();
    })(),
  );
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin || /^\/(v1|health)(\/|$)/.test(pathname)) return;
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (pathname.startsWith("/assets/")) event.respondWith(asset(request));
  else if (SHELL.includes(pathname)) event.respondWith(file(request, pathname));
});

/** Nexus's own page, which is of the newest version; the one that is kept only where there is none. */
async function page(request) {
  return (await soon(fetch(request), await kept("/"))) ?? Response.error();
}

async function file(request, pathname) {
  return (await soon(fetch(request), await kept(pathname))) ?? Response.error();
}

/** What has a digest in its name is the same for ever. */
async function asset(request) {
  const found = await kept(request);
  if (found) return found;
  const answer = await fetch(request);
  // A disk without room for it keeps nothing from the page.
  if (answer.ok) await keep(request, answer.clone()).catch(() => undefined);
  return answer;
}

/** Not from the open cache: to open it makes it, also where a newer worker has deleted it. */
function kept(request) {
  return caches.match(request, { cacheName: CACHE });
}

/** Keep what was asked for, unless a newer worker has taken over meanwhile: what it deleted would be back, for good. */
async function keep(request, answer) {
  await navigator.locks.request(PREFIX, { mode: "shared" }, async () => {
    if (await caches.has(CACHE)) await (await caches.open(CACHE)).put(request, answer);
  });
}

/** The answer, or else what is kept. */
async function soon(answering, other) {
  const late = new Promise((resolve) => {
    if (other) setTimeout(() => resolve(other), PATIENCE_MS);
  });
  try {
    return await Promise.race([answering, late]);
  } catch {
    return other;
  }
}
