import { A } from "@solidjs/router";
import Activity from "lucide-solid/icons/activity";
import Box from "lucide-solid/icons/box";
import Boxes from "lucide-solid/icons/boxes";
import Gauge from "lucide-solid/icons/gauge";
import MapIcon from "lucide-solid/icons/map";
import Rewind from "lucide-solid/icons/rewind";
import Server from "lucide-solid/icons/server";
import Settings from "lucide-solid/icons/settings";
import Unplug from "lucide-solid/icons/unplug";
import { createMemo, createSignal, type JSX, lazy, onCleanup, Show, Suspense } from "solid-js";
import { keepInAddress } from "../past/address";
import { clock, count, span } from "../words/format";
import { useGiven } from "./context";
import { DemoMark } from "./DemoMark";

const PastBar = lazy(() => import("../past/PastBar").then((made) => ({ default: made.PastBar })));

export function Shell(props: { children?: JSX.Element }) {
  const { fabric, caller } = useGiven();
  const stale = createMemo(() => fabric.status().kind === "broken");
  const past = createMemo(() => fabric.past.wanted() > 0);
  keepInAddress(fabric.past);
  return (
    <div class="shell" classList={{ stale: stale() && fabric.filled(), past: past() }}>
      {/* biome-ignore lint/a11y/useValidAnchor: it goes to a place on this page, which the router would not focus */}
      <a class="skip" href="#main" onClick={toMain}>
        Skip to the page
      </a>
      <div class="banners">
        <Show when={stale()}>
          <StaleBanner />
        </Show>
        <Show when={past()}>
          <Suspense>
            <PastBar />
          </Suspense>
        </Show>
      </div>
      <aside class="side" aria-label="Omnitide">
        <A class="brand" href="/map">
          <img src="/icon.svg" alt="" />
          <span class="ellipsis">
            <span class="brand-name">Omnitide</span>
            <span class="brand-fabric ellipsis">{caller().fabric_id}</span>
          </span>
        </A>
        <DemoMark />
        <nav class="nav" aria-label="Pages">
          <A href="/map">
            <MapIcon size={16} aria-hidden="true" />
            <span class="nav-label">Map</span>
          </A>
          <A href="/overview">
            <Gauge size={16} aria-hidden="true" />
            <span class="nav-label">Overview</span>
          </A>
          <A href="/nodes">
            <Server size={16} aria-hidden="true" />
            <span class="nav-label">Nodes</span>
            <Count of={fabric.all("node").size} />
          </A>
          <A href="/agents">
            <Boxes size={16} aria-hidden="true" />
            <span class="nav-label">Agents</span>
            <Count of={fabric.all("agent").size} />
          </A>
          <A href="/instances">
            <Box size={16} aria-hidden="true" />
            <span class="nav-label">Instances</span>
            <Count of={fabric.all("instance").size} />
          </A>
          <A href="/events">
            <Activity size={16} aria-hidden="true" />
            <span class="nav-label">Events</span>
          </A>
          <A href="/settings">
            <Settings size={16} aria-hidden="true" />
            <span class="nav-label">Settings</span>
          </A>
        </nav>
        <div class="side-foot">
          <button
            type="button"
            class="button past-open"
            aria-pressed={past()}
            aria-keyshortcuts="Shift+T"
            disabled={!fabric.newest() && !past()}
            onClick={() => (past() ? fabric.past.back() : fabric.past.show(fabric.newest()))}
          >
            <Rewind size={14} aria-hidden="true" />
            {past() ? "Back to now" : "Time travel"}
          </button>
          <LinkState />
        </div>
      </aside>
      <main id="main" class="page" tabindex="-1">
        {props.children}
      </main>
    </div>
  );
}

function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Count(props: { of: number }) {
  return <span class="nav-count">{count(props.of)}</span>;
}

function LinkState() {
  const { fabric } = useGiven();
  const words = () => {
    if (fabric.past.wanted()) return { tone: "unknown", text: "The past" };
    switch (fabric.status().kind) {
      case "live":
        return { tone: "good", text: "Live" };
      case "connecting":
        return { tone: "busy", text: "Connecting" };
      case "broken":
        return { tone: "wait", text: "Not connected" };
    }
  };
  return (
    <div class={`link-state tone-${words().tone}`}>
      <span class="mark" aria-hidden="true" />
      <span>{words().text}</span>
      <Show when={fabric.filled()}>
        <span>revision {count(fabric.revision())}</span>
      </Show>
    </div>
  );
}

/** What is on the screen may be old: since when, and of when it is. */
function StaleBanner() {
  const { fabric } = useGiven();
  const [passed, setPassed] = createSignal(performance.now());
  const timer = setInterval(() => setPassed(performance.now()), 1000);
  onCleanup(() => clearInterval(timer));
  const since = () => {
    const status = fabric.status();
    return status.kind === "broken" ? span(Math.max(passed(), status.sinceMs) - status.sinceMs) : "";
  };
  return (
    <div class="banner" role="status">
      <Unplug size={16} aria-hidden="true" />
      <span>
        Not connected to Nexus
        {/* Not read aloud anew each second. */}
        <span aria-hidden="true"> for {since()}</span>.{" "}
        <Show when={fabric.filled()} fallback="Nothing has been seen of the fabric yet.">
          What you see is of {clock(fabric.shownMs())}.
        </Show>
      </span>
      <button type="button" class="button" onClick={() => fabric.tryNow()}>
        Try now
      </button>
    </div>
  );
}
