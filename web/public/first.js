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

  // Without the panel's own script the frame of index.html would wait for ever: it says so to everybody, and its links work.
  const failed = (why) => {
    // The frame may not have been read so far. (The document is loaded only with its modules, which do not come.)
    if (document.readyState === "loading") {
      document.addEventListener("readystatechange", () => failed(why), { once: true });
      return;
    }
    const frame = document.querySelector(".boot");
    document.documentElement.dataset.session = "";
    frame.removeAttribute("aria-hidden");
    frame.inert = false;
    for (const [part, role] of [
      [".state", "status"],
      [".side", "complementary"],
      [".page", "main"],
    ])
      frame.querySelector(part).setAttribute("role", role);
    frame.querySelector("h1").textContent ||= "Omnitide";
    frame.querySelector(".state").className = "state tone-bad";
    frame.querySelector(".state-now").lastChild.data = "Not loaded";
    const told = Object.assign(document.createElement("p"), {
      textContent: `The panel's script ${why}, so nothing can be shown. What runs goes on. Load the page again; if it still does not come, see whether the line to Nexus is good.`,
    });
    told.setAttribute("role", "alert");
    const again = Object.assign(document.createElement("button"), {
      type: "button",
      className: "button",
      textContent: "Load again",
      onclick: () => location.reload(),
    });
    frame.querySelector(".page-body").replaceChildren(told, again);
  };
  document.addEventListener(
    "error",
    ({ target }) => {
      if (target.localName !== "script" || target.type !== "module") return;
      clearTimeout(window.omnitideLate);
      failed("did not come");
    },
    true,
  );
  // One that is neither answered nor refused fails nowhere. If it comes after all, it ends this (main.tsx) or takes its place.
  window.omnitideLate = setTimeout(() => failed("has not come for 15 seconds"), 15_000);

  const MOST = 2000; // messages kept for a script that does not come
  const proof = kept("omnitide.proof");
  if (!proof || new URLSearchParams(location.search).has("login")) return;
  document.documentElement.dataset.session = "";
  const here = location.pathname === "/" ? "/map" : location.pathname;
  // Which page it is to be is told in the frame that index.html has, as soon as that is read and before it is painted.
  new MutationObserver((_, observer) => {
    const title = document.querySelector(".boot h1");
    if (!title) return;
    observer.disconnect();
    for (const link of document.querySelectorAll(".boot .nav a")) {
      if (link.getAttribute("href") !== here) continue;
      link.setAttribute("aria-current", "page");
      title.textContent = link.textContent;
    }
  }).observe(document, { childList: true, subtree: true });
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/view`, [
    "omnitide.v1",
    `proof.${proof}`,
  ]);
  const early = { proof, socket, opened: false, messages: [], closed: null, answers: {} };
  socket.onopen = () => {
    early.opened = true;
  };
  socket.onmessage = (event) => {
    if (early.messages.push(event) > MOST) socket.close();
  };
  socket.onclose = (event) => {
    early.closed = event;
  };
  // Each as the panel asks it, to the letter: of the overview, see pages/events/latest.ts.
  const asked = ["/v1/session", "/v1/fabric"];
  if (here === "/overview" && !location.search) {
    const seldom = ["agent", "node", "job", "namespace", "secret", "config", "token"];
    asked.push("/v1/events?last=300", `/v1/events?last=60&${seldom.map((kind) => `kinds=${kind}`).join("&")}`);
  }
  for (const path of asked) {
    early.answers[path] = fetch(path, {
      headers: { Accept: "application/json", "Omnitide-Proof": proof },
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(15_000),
    });
    early.answers[path].catch(() => {}); // Whoever takes it hears of it.
  }
  window.omnitideEarly = early;

  // The map is the home page: it comes with what the first look needs and not a round trip later, and behind it.
  if (here !== "/map") return;
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
