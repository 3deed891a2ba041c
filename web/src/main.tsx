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
// The home page's: what it looks like is there before its script is.
import "./map/map.css";
import { render } from "solid-js/web";
import { takeCode } from "./api/session";
import { App } from "./app";
import { mendAddress } from "./parts/readable";

// This script has come: first.js need not say that it does not.
clearTimeout((window as { omnitideLate?: ReturnType<typeof setTimeout> }).omnitideLate);
// Before anything else: the code of a login link is not to stay in the address bar.
const code = takeCode();
mendAddress();

const place = document.getElementById("app");
if (place) render(() => <App code={code} />, place);
