import "@fontsource-variable/inter/wght.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/shell.css";
import "./styles/pages.css";
import "./styles/acting.css";
import "./styles/palette.css";
import "./styles/toasts.css";
import "./styles/lists.css";
import "./styles/detail.css";
import "./styles/charts.css";
import "./styles/events.css";
import "./styles/output.css";
import "./styles/join.css";
import { render } from "solid-js/web";
import { takeCode } from "./api/session";
import { App } from "./app";
import { mendAddress } from "./parts/readable";

// Before anything else: the code of a login link is not to stay in the address bar.
const code = takeCode();
mendAddress();

const RELOADED = "omnitide.reloaded";
const AGAIN_MS = 60_000;

// A panel that was built anew has other files: what this page would still load is gone. Where Nexus cannot be reached at
// all, a reload would take away the page that there is.
addEventListener("vite:preloadError", () => {
  // Once: if that did not help, the page says what is the matter.
  const before = Number(sessionStorage.getItem(RELOADED) ?? 0);
  if (Date.now() - before < AGAIN_MS) return;
  fetch("/", { method: "HEAD", cache: "no-store", headers: { Accept: "text/html" } }).then(
    (answer) => {
      if (!answer.ok) return;
      sessionStorage.setItem(RELOADED, String(Date.now()));
      location.reload();
    },
    () => undefined,
  );
});

const place = document.getElementById("app");
if (place) render(() => <App code={code} />, place);
