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
      for (const name of await caches.keys()) {
        if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
      }
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
  const cache = await caches.open(CACHE);
  const kept = await cache.match("/");
  return (await soon(fetch(request), kept)) ?? Response.error();
}

async function file(request, pathname) {
  const cache = await caches.open(CACHE);
  return (await soon(fetch(request), await cache.match(pathname))) ?? Response.error();
}

/** What has a digest in its name is the same for ever. */
async function asset(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(request, answer.clone());
  return answer;
}

/** The answer, or else what is kept. */
async function soon(answering, kept) {
  const late = new Promise((resolve) => {
    if (kept) setTimeout(() => resolve(kept), PATIENCE_MS);
  });
  try {
    return await Promise.race([answering, late]);
  } catch {
    return kept;
  }
}
