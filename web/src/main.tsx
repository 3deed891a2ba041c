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

// A panel that was built anew has other files: what this page would still load is gone.
addEventListener("vite:preloadError", () => location.reload());

const place = document.getElementById("app");
if (place) render(() => <App code={code} />, place);
