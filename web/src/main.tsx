import "@fontsource-variable/inter/wght.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/shell.css";
import "./styles/pages.css";
import "./styles/acting.css";
import "./styles/detail.css";
import { render } from "solid-js/web";
import { takeCode } from "./api/session";
import { App } from "./app";

// Before anything else: the code of a login link is not to stay in the address bar.
const code = takeCode();

// A panel that was built anew has other files: what this page would still load is gone. Where Nexus cannot be reached at
// all, a reload would take away the page that there is.
addEventListener("vite:preloadError", () => {
  fetch("/", { method: "HEAD", cache: "no-store", headers: { Accept: "text/html" } }).then(
    (answer) => answer.ok && location.reload(),
    () => undefined,
  );
});

const place = document.getElementById("app");
if (place) render(() => <App code={code} />, place);
