import { Navigate, Route, Router } from "@solidjs/router";
import {
  createEffect,
  createSignal,
  ErrorBoundary,
  type JSX,
  lazy,
  onCleanup,
  onMount,
  Show,
  Suspense,
} from "solid-js";
import { Acting } from "./actions/Acting";
import { closeSession, getCaller, Refused } from "./api/client";
import { onProofChanged, proof } from "./api/session";
import type { Caller } from "./api/types";
import { Agents } from "./pages/Agents";
import { Instances } from "./pages/Instances";
import { Login } from "./pages/Login";
import { Nodes } from "./pages/Nodes";
import { NotFound } from "./pages/NotFound";
import { Overview } from "./pages/Overview";
import { Arriving } from "./parts/Arriving";
import { GivenContext } from "./parts/context";
import { Failed } from "./parts/Failed";
import { retried } from "./parts/retried";
import { Shell } from "./parts/Shell";
import { installWorker } from "./pwa/install";
import { Unreachable } from "./pwa/Unreachable";
import { Fabric } from "./state/fabric";
import { turn } from "./state/turn";

// Pages that a first look does not need come when they are opened; the map is large, and the frame is there before it.
const MapPage = lazy(() => retried(() => import("./map/MapPage")));
const AgentDetail = lazy(() =>
  retried(() => import("./pages/detail/AgentDetail")).then((made) => ({ default: made.AgentDetail })),
);
const InstanceDetail = lazy(() =>
  retried(() => import("./pages/detail/InstanceDetail")).then((made) => ({ default: made.InstanceDetail })),
);
const InstanceByName = lazy(() =>
  retried(() => import("./pages/detail/InstanceByName")).then((made) => ({ default: made.InstanceByName })),
);
const NodeDetail = lazy(() =>
  retried(() => import("./pages/detail/NodeDetail")).then((made) => ({ default: made.NodeDetail })),
);
const Events = lazy(() => retried(() => import("./pages/events/Events")).then((made) => ({ default: made.Events })));
const LogsPage = lazy(() => retried(() => import("./pages/logs/Logs")).then((made) => ({ default: made.LogsPage })));
const TerminalPage = lazy(() =>
  retried(() => import("./terminal/TerminalPage")).then((made) => ({ default: made.TerminalPage })),
);
const FilesPage = lazy(() => retried(() => import("./files/FilesPage")).then((made) => ({ default: made.FilesPage })));
const EditorPage = lazy(() =>
  retried(() => import("./editor/EditorPage")).then((made) => ({ default: made.EditorPage })),
);
const ImportPage = lazy(() =>
  retried(() => import("./import/ImportPage")).then((made) => ({ default: made.ImportPage })),
);
const SettingsPage = lazy(() =>
  retried(() => import("./pages/settings/Settings")).then((made) => ({ default: made.SettingsPage })),
);
const Join = lazy(() => retried(() => import("./pages/Join")).then((made) => ({ default: made.Join })));

type Access = { kind: "asking"; trouble: string } | { kind: "out"; why: string } | { kind: "in"; caller: Caller };

const AGAIN_MS = 2_000;
const WORKER_MS = 1_000;

/** Logged in or not; the pages only where one is. `code`: of a login link. */
export function App(props: { code: string }) {
  const [access, setAccess] = createSignal<Access>(
    props.code || !proof() ? { kind: "out", why: "" } : { kind: "asking", trouble: "" },
  );
  let code = props.code;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const ask = async () => {
    clearTimeout(timer);
    try {
      setAccess({ kind: "in", caller: await getCaller() });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.loggedOut || error.code === "forbidden") {
        // A cookie that has run out is not sent any more: then Nexus sees nobody at all.
        setAccess({
          kind: "out",
          why: error.message.startsWith("no token") ? "your session has ended" : error.message,
        });
      } else {
        setAccess({ kind: "asking", trouble: error.message });
        timer = setTimeout(() => void ask(), AGAIN_MS);
      }
    }
  };
  // It comes while it is asked who is logged in.
  if (proof() && ["/", "/map"].includes(location.pathname)) void MapPage.preload();
  onMount(() => {
    // The first look has the line for itself.
    setTimeout(installWorker, WORKER_MS);
    if (access().kind === "asking") void ask();
    onProofChanged(() => {
      if (proof()) void ask();
      else setAccess({ kind: "out", why: "you have logged out in another tab" });
    });
  });
  onCleanup(() => clearTimeout(timer));

  const out = () => {
    const now = access();
    return now.kind === "out" ? now : undefined;
  };
  const caller = () => {
    const now = access();
    return now.kind === "in" ? now.caller : undefined;
  };
  const asking = () => {
    const now = access();
    return now.kind === "asking" ? now : undefined;
  };

  return (
    <ErrorBoundary fallback={(error) => <Failed what="The panel" error={error} />}>
      <Show when={asking()}>
        {(now) => (
          <Show when={now().trouble}>{(trouble) => <Unreachable trouble={trouble()} again={() => void ask()} />}</Show>
        )}
      </Show>
      <Show when={out()}>
        {(now) => (
          <Login
            code={code}
            why={now().why}
            onLoggedIn={() => {
              code = "";
              void ask();
            }}
          />
        )}
      </Show>
      <Show when={caller()}>{(now) => <Pages caller={now()} onOut={(why) => setAccess({ kind: "out", why })} />}</Show>
    </ErrorBoundary>
  );
}

function Pages(props: { caller: Caller; onOut(why: string): void }) {
  const fabric = new Fabric();
  const [nowMs, setNowMs] = createSignal(Date.now());
  const tick = () => setNowMs(fabric.stale() ? fabric.shownMs() || Date.now() : fabric.nowMs());
  const timer = setInterval(tick, 1000);
  fabric.start();
  onCleanup(() => {
    clearInterval(timer);
    fabric.end();
  });
  createEffect(() => {
    fabric.past.model();
    if (fabric.filled()) tick();
  });
  createEffect(() => {
    if (fabric.loggedOut()) props.onOut(fabric.loggedOut());
  });
  const given = {
    fabric,
    caller: () => props.caller,
    nowMs,
    logOut: async () => {
      fabric.end();
      await closeSession();
      props.onOut("you have logged out");
    },
  };
  // The frame is a task of its own, and so are the page in it and what is done there: each is drawn, and heard, before the next.
  const [framed, setFramed] = createSignal(false);
  const [acting, setActing] = createSignal(false);
  onMount(async () => {
    await turn();
    setFramed(true);
    await turn();
    setActing(true);
  });
  const root = (page: { children?: JSX.Element }) => (
    <>
      <Shell>
        <Show when={framed()} fallback={<Arriving />}>
          <Suspense fallback={<Arriving />}>{page.children}</Suspense>
        </Show>
      </Shell>
      <Show when={acting()}>
        <Acting />
      </Show>
    </>
  );
  return (
    <GivenContext.Provider value={given}>
      <Router root={root}>
        <Route path="/" component={() => <Navigate href="/map" />} />
        <Route path="/map" component={MapPage} />
        <Route path="/overview" component={Overview} />
        <Route path="/nodes" component={Nodes} />
        <Route path="/agents" component={Agents} />
        <Route path="/instances" component={Instances} />
        <Route path="/events" component={Events} />
        <Route path="/join" component={Join} />
        <Route path="/nodes/:node" component={NodeDetail} />
        <Route path="/agents/new" component={EditorPage} />
        <Route path="/agents/:namespace/:name" component={AgentDetail} />
        <Route path="/agents/:namespace/:name/edit" component={EditorPage} />
        <Route path="/import" component={ImportPage} />
        <Route path="/instances/:id" component={InstanceDetail} />
        <Route path="/instances/:id/logs" component={LogsPage} />
        <Route path="/instances/:id/terminal" component={TerminalPage} />
        <Route path="/instances/:id/files" component={FilesPage} />
        <Route path="/instances/:namespace/:name" component={InstanceDetail} />
        <Route path="/instances/:namespace/:name/:part" component={InstanceByName} />
        <Route path="/logs" component={LogsPage} />
        <Route path="/logs/:namespace/:name" component={LogsPage} />
        <Route path="/settings" component={SettingsPage} />
        <Route path="*" component={NotFound} />
      </Router>
    </GivenContext.Provider>
  );
}
