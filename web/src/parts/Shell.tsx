import { A, useLocation } from "@solidjs/router";
import Activity from "lucide-solid/icons/activity";
import Box from "lucide-solid/icons/box";
import Boxes from "lucide-solid/icons/boxes";
import Gauge from "lucide-solid/icons/gauge";
import MapIcon from "lucide-solid/icons/map";
import MonitorUp from "lucide-solid/icons/monitor-up";
import Rewind from "lucide-solid/icons/rewind";
import Search from "lucide-solid/icons/search";
import Server from "lucide-solid/icons/server";
import Settings from "lucide-solid/icons/settings";
import Unplug from "lucide-solid/icons/unplug";
import {
  createEffect,
  createMemo,
  createSignal,
  ErrorBoundary,
  For,
  type JSX,
  lazy,
  on,
  onCleanup,
  Show,
  Suspense,
} from "solid-js";
import { setPage } from "../actions/desk";
import { keepInAddress } from "../past/address";
import type { Fabric } from "../state/fabric";
import { clock, count, span } from "../words/format";
import { notEnded } from "../words/states";
import { useGiven } from "./context";
import { createDemo, DemoMark } from "./DemoMark";
import { Failed } from "./Failed";
import { Hints } from "./Hints";
import { focusMain } from "./main";
import { belongsTo, PLACES, type Place } from "./places";
import { retried } from "./retried";
import { createSeldom } from "./seldom";

const Absent = lazy(() => retried(() => import("../past/Absent")).then((made) => ({ default: made.Absent })));
const PastBar = lazy(() => retried(() => import("../past/PastBar")).then((made) => ({ default: made.PastBar })));

const ICONS: Record<Place, typeof MapIcon> = {
  "/map": MapIcon,
  "/overview": Gauge,
  "/nodes": Server,
  "/agents": Boxes,
  "/instances": Box,
  "/events": Activity,
  "/join": MonitorUp,
  "/settings": Settings,
};

export function Shell(props: { children?: JSX.Element }) {
  const { fabric, caller } = useGiven();
  const stale = createMemo(() => fabric.stale());
  const past = createMemo(() => fabric.past.wanted() > 0);
  const demo = createDemo();
  const location = useLocation();
  const current = (place: Place) => {
    if (location.pathname === place) return "page";
    return belongsTo(location.pathname) === place ? "true" : undefined;
  };
  keepInAddress(fabric.past);
  const instances = createSeldom(
    () => void fabric.filled(),
    () => void fabric.all("instance"),
    () => notEnded(fabric.all("instance")),
  );
  const counts: Partial<Record<Place, () => number>> = {
    "/nodes": () => fabric.all("node").size,
    "/agents": () => fabric.all("agent").size,
    "/instances": instances,
  };
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
        <NarrowBar demo={demo()} />
      </div>
      <aside class="side" aria-label="Omnitide">
        <div class="side-top">
          <A class="brand" href="/map">
            <img src="/icon.svg" alt="" />
            <span class="ellipsis">
              <span class="brand-name">Omnitide</span>
              <span class="brand-fabric ellipsis">{caller().fabric_id}</span>
            </span>
          </A>
          <DemoMark shown={demo()} />
          <Hints />
        </div>
        <nav class="nav" aria-label="Pages">
          <For each={PLACES}>
            {(place) => {
              const Icon = ICONS[place.href];
              const counted = counts[place.href];
              return (
                <a href={place.href} aria-current={current(place.href)}>
                  <Icon size={16} aria-hidden="true" />
                  <span class="nav-label">
                    {place.title}
                    {place.more && <span class="nav-long">{place.more}</span>}
                  </span>
                  {counted && <Count of={counted()} />}
                </a>
              );
            }}
          </For>
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
        <Show
          when={fabric.past.absent()}
          fallback={
            <ErrorBoundary
              fallback={(error, again) => <FailedPage error={error as unknown} again={() => void again()} />}
            >
              {props.children}
            </ErrorBoundary>
          }
        >
          {(why) => (
            <Suspense>
              <Absent why={why()} />
            </Suspense>
          )}
        </Show>
      </main>
    </div>
  );
}

function toMain(event: Event): void {
  event.preventDefault();
  focusMain();
}

function Count(props: { of: number }) {
  const { fabric } = useGiven();
  return (
    <Show when={fabric.filled()}>
      <span class="nav-count">{count(props.of)}</span>
    </Show>
  );
}

/** Another page may be well. */
function FailedPage(props: { error: unknown; again(): void }) {
  const location = useLocation();
  createEffect(on(() => location.pathname, props.again, { defer: true }));
  return <Failed what="This page" error={props.error} again={props.again} />;
}

/** Where there is no room for the foot of the side: what it has, above the page. */
function NarrowBar(props: { demo: boolean }) {
  const { fabric } = useGiven();
  const past = () => fabric.past.wanted() > 0;
  return (
    <div class="narrow-bar" role="region" aria-label="State and search">
      <DemoMark shown={props.demo} />
      <span class={`state tone-${linkWords(fabric).tone}`}>
        <span class="state-now">
          <span class="mark" aria-hidden="true" />
          <span class="state-text ellipsis">{linkWords(fabric).text}</span>
        </span>
        <Show when={fabric.filled()}>
          <span class="faint">revision {count(fabric.revision())}</span>
        </Show>
      </span>
      <button type="button" class="button" aria-keyshortcuts="Control+K" onClick={() => setPage("palette")}>
        <Search size={15} aria-hidden="true" />
        Find or do
      </button>
      <button type="button" class="button" aria-keyshortcuts="?" aria-label="Keys" onClick={() => setPage("keys")}>
        ?
      </button>
      <button
        type="button"
        class="button"
        aria-label={past() ? "Back to now" : "Time travel"}
        title={past() ? "Back to now" : "Time travel"}
        aria-pressed={past()}
        disabled={!fabric.newest() && !past()}
        onClick={() => (past() ? fabric.past.back() : fabric.past.show(fabric.newest()))}
      >
        <Rewind size={15} aria-hidden="true" />
      </button>
    </div>
  );
}

function linkWords(fabric: Fabric): { tone: string; text: string } {
  if (fabric.past.wanted()) return { tone: "unknown", text: "The past" };
  switch (fabric.status().kind) {
    case "live":
      return { tone: "good", text: "Live" };
    case "connecting":
      return { tone: "busy", text: "Connecting" };
    case "quiet":
      return { tone: "wait", text: "Not heard" };
    case "broken":
      return { tone: "wait", text: "Not connected" };
  }
}

function LinkState() {
  const { fabric } = useGiven();
  return (
    <div class={`link-state tone-${linkWords(fabric).tone}`}>
      <span class="mark" aria-hidden="true" />
      <span>{linkWords(fabric).text}</span>
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
    return "sinceMs" in status ? span(Math.max(passed(), status.sinceMs) - status.sinceMs) : "";
  };
  const quiet = () => fabric.status().kind === "quiet";
  return (
    <div class="banner" role="status">
      <Unplug size={16} aria-hidden="true" />
      <span>
        {quiet() ? "Nothing heard from Nexus" : "Not connected to Nexus"}
        {/* Not read aloud anew each second. */}
        <span aria-hidden="true"> for {since()}</span>.{" "}
        <Show when={fabric.filled()} fallback="Nothing has been seen of the fabric yet.">
          What you see is of {clock(fabric.shownMs())}.
        </Show>
      </span>
      <Show when={!quiet()}>
        <button type="button" class="button" onClick={() => fabric.tryNow()}>
          Try now
        </button>
      </Show>
    </div>
  );
}
