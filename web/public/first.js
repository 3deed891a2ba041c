// Before the first paint: the look, so that no page flashes in the other one (parts/theme.ts and parts/density.ts do the
// rest), and what the panel asks of Nexus first, so that the answers come while its own script does (api/early.ts).
(() => {
  const kept = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // Storage can be forbidden: then the system's choice holds, and there is no session.
    }
  };
  const theme = kept("omnitide.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  if (kept("omnitide.density") === "compact") document.documentElement.dataset.density = "compact";

  const MOST = 2000; // messages kept for a script that does not come
  const proof = kept("omnitide.proof");
  if (!proof || new URLSearchParams(location.search).has("login")) return;
  document.documentElement.dataset.session = "";
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/view`, [
    "omnitide.v1",
    `proof.${proof}`,
  ]);
  const early = { proof, socket, opened: false, messages: [], closed: null, caller: null };
  socket.onopen = () => {
    early.opened = true;
  };
  socket.onmessage = (event) => {
    if (early.messages.push(event) > MOST) socket.close();
  };
  socket.onclose = (event) => {
    early.closed = event;
  };
  early.caller = fetch("/v1/session", {
    headers: { Accept: "application/json", "Omnitide-Proof": proof },
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(15_000),
  });
  early.caller.catch(() => {}); // Whoever takes it hears of it.
  window.omnitideEarly = early;

  // The map is the home page: it comes with what the first look needs and not a round trip later, and behind it.
  if (!["/", "/map"].includes(location.pathname)) return;
  for (const href of document.currentScript?.dataset.map?.match(/\S+/g) ?? []) {
    document.head.append(
      Object.assign(document.createElement("link"), {
        rel: "modulepreload",
        href,
        crossOrigin: "",
        fetchPriority: "low",
      }),
    );
  }
})();
