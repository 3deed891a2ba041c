import { A } from "@solidjs/router";
import ArrowDown from "lucide-solid/icons/arrow-down";
import ArrowUp from "lucide-solid/icons/arrow-up";
import CircleCheck from "lucide-solid/icons/circle-check";
import TriangleAlert from "lucide-solid/icons/triangle-alert";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { getStatus, Refused } from "../api/client";
import type { CloudEvent, FabricStatus } from "../api/types";
import { BigMeter } from "../parts/BigMeter";
import { useGiven } from "../parts/context";
import { createPresent } from "../parts/present";
import { createSeldom } from "../parts/seldom";
import { useTitle } from "../parts/title";
import { pastRevision } from "../past/when";
import { createTurns } from "../state/turn";
import { ofInterest } from "../words/events";
import { bytes, cores, count, plural, span, visible } from "../words/format";
import { agentState, endedAs, instanceState, isSilent, nodeState, type State, type Tone } from "../words/states";
import { overWords, tallyOf } from "../words/tally";
import { Concerns } from "./Concerns";
import { isGrave, MOST_CONCERNS, type Placing, placed, verdictOf } from "./concerning";
import { arrived, EMPTY, since } from "./events/feed";
import { folded, type Line, shortened, steady } from "./events/fold";
import { EventLines } from "./events/Lines";
import { latestEvents } from "./events/latest";
import { createHeld, createReading } from "./events/reading";
import { olderEvents } from "./events/source";

/** Shown, of what happened last. */
const LINES = 14;
/** Between two questions to Nexus while the fabric changes, and while it does not: concerns come with time too. */
const BUSY_MS = 1_000;
const IDLE_MS = 10_000;
const NO_PLACES: Placing["places"] = new Map();

export function Overview() {
  const { fabric, nowMs } = useGiven();
  const [status, setStatus] = createSignal<FabricStatus>();
  const [events, setEvents] = createSignal<readonly CloudEvent[]>([]);
  const ofChanges = createReading();
  const { shown: seen, take: takeChanges } = createHeld(events, ofChanges.reading);
  const changes = createMemo(
    (before: readonly Line[]) => steady(shortened(folded(seen().filter(ofInterest))).slice(0, LINES), before),
    [],
  );
  const newer = createMemo(() => since(events(), seen()).filter(ofInterest).length);
  const [failed, setFailed] = createSignal("");
  useTitle(() => "Overview");

  let timer: ReturnType<typeof setTimeout> | undefined;
  let askedMs = -BUSY_MS;
  let asking = false;
  let feed = EMPTY;
  const gone = new AbortController();
  const ask = async () => {
    clearTimeout(timer);
    if (asking) return;
    asking = true;
    askedMs = performance.now();
    try {
      const past = pastRevision();
      if (past) {
        const before = await olderEvents({ kind: "", namespace: "", subject: "" }, past + 1, gone.signal);
        setStatus();
        setEvents(arrived(EMPTY, before.events, false).events);
        setFailed("");
        return;
      }
      const [found, latest] = await Promise.all([getStatus(gone.signal), latestEvents(feed, "", gone.signal)]);
      feed = latest;
      if (pastRevision()) return;
      setStatus(found);
      setEvents(feed.events);
      setFailed("");
    } catch (error) {
      if (gone.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setFailed(error.message);
    } finally {
      asking = false;
    }
    if (!gone.signal.aborted && !pastRevision()) timer = setTimeout(() => void ask(), IDLE_MS);
  };
  createEffect(
    on([fabric.revision, () => fabric.status().kind], () => {
      clearTimeout(timer);
      timer = setTimeout(() => void ask(), Math.max(0, askedMs + BUSY_MS - performance.now()));
    }),
  );
  onCleanup(() => {
    clearTimeout(timer);
    gone.abort();
  });

  const concerns = () => (pastRevision() ? [] : (status()?.concerns ?? []));
  const present = createPresent();
  const [takes, setTakes] = createSignal(0);
  let taken = 0;
  const placing = createMemo((before: Placing | undefined) => {
    if (pastRevision() || !status()) return undefined;
    const held = present() && taken === takes();
    taken = takes();
    return placed(concerns(), held ? before?.places : undefined);
  }, undefined);
  const places = () => placing()?.places ?? NO_PLACES;
  const waiting = () => placing()?.waiting ?? [];
  const known = () => fabric.filled() && (status() !== undefined || failed() !== "" || pastRevision() > 0);
  const there = createTurns(known, 3);
  const verdict = createMemo((): { tone: Tone; text: string; more: string } => {
    const found = status();
    if (pastRevision() && !fabric.filled()) {
      return { tone: "off", text: "Looking for the fabric as it was…", more: "" };
    }
    if (pastRevision()) {
      return {
        tone: "unknown",
        text: "This was the fabric",
        more: "What wanted an eye then is not kept; its state is.",
      };
    }
    if (!found) return { tone: "off", text: failed() || "Asking Nexus…", more: "" };
    const worst = concerns().length;
    const [first] = concerns();
    if (first && isGrave(first)) return { tone: "bad", ...verdictOf(first) };
    if (worst) {
      const each = worst === 1 ? "With where to look, below." : "Each with where to look, below.";
      const more = worst === MOST_CONCERNS ? "The twenty most pressing are below." : each;
      return { tone: "wait", text: `${plural(worst, "thing")} ${worst === 1 ? "wants" : "want"} your eye`, more };
    }
    if (!found.nodes.live) return { tone: "wait", text: "No node is live", more: "Nothing can run until one joins." };
    const running = plural(found.instances.running, "instance");
    return { tone: "good", text: "All is well", more: `${running} on ${plural(found.nodes.live, "live node")}.` };
  });

  const changing = () => {
    fabric.all("node");
    fabric.loadTick();
  };
  const addUp = () => {
    let cpu = 0;
    let memory = 0;
    let cpuReserved = 0;
    let memoryReserved = 0;
    let cpuUsed = 0;
    let memoryUsed = 0;
    let cpuClosed = 0;
    let memoryClosed = 0;
    let known = false;
    let live = 0;
    for (const node of fabric.all("node").values()) {
      if (node.status !== "live" || isSilent(node)) continue;
      live += 1;
      cpu += node.cpu_milli;
      memory += node.memory_bytes;
      if (node.scheduling !== "open") {
        cpuClosed += node.cpu_milli;
        memoryClosed += node.memory_bytes;
      }
      cpuReserved += node.reserved_cpu_milli;
      memoryReserved += node.reserved_memory_bytes;
      const load = fabric.load(node.id);
      if (!load) continue;
      known = true;
      cpuUsed += load.cpuMilli;
      memoryUsed += load.memoryBytes;
    }
    return { cpu, memory, cpuClosed, memoryClosed, cpuReserved, memoryReserved, cpuUsed, memoryUsed, known, live };
  };
  const capacity = createSeldom(() => void fabric.filled(), changing, addUp);

  return (
    <>
      <header class="page-head">
        <h1>Overview</h1>
      </header>
      <div class="page-body">
        <div class="overview">
          <section class={`card verdict wide tone-${verdict().tone}`} aria-live="polite">
            <Show when={verdict().tone === "good"} fallback={<TriangleAlert size={24} aria-hidden="true" />}>
              <CircleCheck size={24} aria-hidden="true" />
            </Show>
            <div class="verdict-words">
              <strong>{verdict().text}</strong>
              <span class="verdict-more soft">
                <Show when={waiting().length} fallback={verdict().more}>
                  <button
                    type="button"
                    class="event-new"
                    title="Newer ones, which wait while you read"
                    onClick={() => setTakes(takes() + 1)}
                  >
                    <ArrowDown size={13} aria-hidden="true" />
                    <span class="ellipsis">
                      Show {count(waiting().length)} new:{" "}
                      {waiting()
                        .map((one) => visible(one.subject))
                        .join(", ")}
                    </span>
                  </button>
                </Show>
              </span>
            </div>
          </section>

          {/* From above downwards: what comes later would push away what somebody has begun to read. */}
          <Show when={there() >= 1}>
            <Show when={places().size}>
              <Concerns places={places()} />
            </Show>

            <Tally title="Nodes" href="/nodes" noun="node" all={() => fabric.all("node")} state={nodeState} />
            <Tally title="Agents" href="/agents" noun="agent" all={() => fabric.all("agent")} state={agentState} />
            <Tally
              title="Instances"
              href="/instances"
              noun="instance"
              all={() => fabric.all("instance")}
              state={instanceState}
              over={endedAs}
            />
          </Show>
          <Show when={there() >= 2}>
            <section class="card block" aria-labelledby="capacity">
              <h2 id="capacity">Capacity of the live nodes</h2>
              <Show
                when={capacity().live}
                fallback={<p class="soft">No node is live: there is no room for anything.</p>}
              >
                <BigMeter
                  label="CPU"
                  whole={capacity().cpu}
                  used={capacity().known ? capacity().cpuUsed : undefined}
                  reserved={capacity().cpuReserved}
                  closed={capacity().cpuClosed}
                  form={(value) => `${cores(value)} cores`}
                />
                <BigMeter
                  label="Memory"
                  whole={capacity().memory}
                  used={capacity().known ? capacity().memoryUsed : undefined}
                  reserved={capacity().memoryReserved}
                  closed={capacity().memoryClosed}
                  form={bytes}
                />
              </Show>
              <Show when={status()}>
                {(found) => (
                  <dl class="facts">
                    <dt>Jobs</dt>
                    <dd>
                      {count(found().jobs_active)} active of {count(found().jobs)}
                      <Show when={found().jobs_failed}>, {count(found().jobs_failed)} failed</Show>
                    </dd>
                    <dt>Nexus</dt>
                    <dd>
                      {found().version}, up for {span(nowMs() - found().started_ms)}
                    </dd>
                  </dl>
                )}
              </Show>
            </section>
          </Show>
          <Show when={there() >= 3}>
            <section class="card block last" aria-labelledby="changes" {...ofChanges.within}>
              <div class="block-head waits">
                <h2 id="changes">What changed</h2>
                <Show when={newer()}>
                  <button
                    type="button"
                    class="event-new"
                    title="Newer events, which wait while you read"
                    onClick={takeChanges}
                  >
                    <ArrowUp size={13} aria-hidden="true" />
                    Show {count(newer())} new
                  </button>
                </Show>
              </div>
              <Show when={changes().length} fallback={<p class="soft">Nothing yet.</p>}>
                <EventLines lines={changes()} />
              </Show>
            </section>
          </Show>
        </div>
      </div>
    </>
  );
}

interface TallyProps<T> {
  title: string;
  href: string;
  noun: string;
  all(): ReadonlyMap<string, T>;
  state(one: T): State;
  /** As what one that has ended is counted apart. */
  over?(one: T): State | undefined;
}

/** How many there are in each state, the worst first; what has ended is in none of them. */
function Tally<T>(props: TallyProps<T>) {
  const counts = createSeldom(
    () => undefined,
    () => void props.all(),
    () => tallyOf(props.all().values(), props.state, props.over),
  );
  const chips = () => [...counts().states, ...counts().over];
  return (
    <section class="card block third" aria-label={props.title}>
      <div class="block-head">
        <h2>
          <A href={props.href}>{props.title}</A>
        </h2>
      </div>
      <p class="figure">
        <b>{count(counts().there)}</b>
        <span class="soft">
          {counts().there === 1 ? props.noun : `${props.noun}s`}
          {overWords(counts().over)}
        </span>
      </p>
      <div class="split" aria-hidden="true">
        <For each={counts().states}>
          {(one) => <span class={`tone-${one.tone}`} style={{ "flex-grow": one.count }} />}
        </For>
      </div>
      <ul class="legend">
        <For each={chips()} fallback={<li>none yet</li>}>
          {(one) => (
            <li class={`tone-${one.tone}`}>
              <span class="mark" aria-hidden="true" />
              <span>
                <b>{count(one.count)}</b> {one.text}
              </span>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}
