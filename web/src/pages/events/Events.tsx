import { A, useSearchParams } from "@solidjs/router";
import { createVirtualizer } from "@tanstack/solid-virtual";
import ArrowUp from "lucide-solid/icons/arrow-up";
import ChevronRight from "lucide-solid/icons/chevron-right";
import Pause from "lucide-solid/icons/pause";
import Play from "lucide-solid/icons/play";
import Rewind from "lucide-solid/icons/rewind";
import Search from "lucide-solid/icons/search";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { Refused } from "../../api/client";
import type { CloudEvent } from "../../api/types";
import { useGiven } from "../../parts/context";
import { narrow } from "../../parts/narrow";
import { Mark } from "../../parts/State";
import { useTitle } from "../../parts/title";
import { createTyped } from "../../parts/typed";
import { pastRevision } from "../../past/when";
import { ofInterest, tell } from "../../words/events";
import { clock, count, dateTime, plural, visible } from "../../words/format";
import { subjectHref } from "../subjects";
import { arrived, before, EMPTY, type Feed, oldestRevision, released } from "./feed";
import { alone, folded, isOpen, type Line, type Row, rowsOf, tellLine, toggled } from "./fold";
import { createReading } from "./reading";
import { newestEvents, olderEvents, type Wanted, watchEvents } from "./source";

const KINDS = ["agent", "instance", "node", "job", "token"] as const;
const FIRST = 300;
const ROW = 34;
/** What it is about in one line, what happened in the next. */
const NARROW_ROW = 52;

export function Events() {
  const { fabric } = useGiven();
  const [params, setParams] = useSearchParams<{ kind?: string; subject?: string; namespace?: string }>();
  const [typed, setTyped] = createTyped("q");
  const [all, setAll] = createTyped("all");
  const [each, setEach] = createTyped("each");
  const [opened, setOpened] = createSignal<ReadonlySet<string>>(new Set<string>());
  const [feed, setFeed] = createSignal<Feed>(EMPTY);
  const [paused, setPaused] = createSignal(false);
  const [away, setAway] = createSignal(false);
  const { reading, within } = createReading();
  const [live, setLive] = createSignal(false);
  const [filled, setFilled] = createSignal(false);
  const [failed, setFailed] = createSignal("");
  const [fetching, setFetching] = createSignal(false);
  useTitle(() => "Events");
  const replace = { replace: true, scroll: false } as const;

  const wanted = createMemo(
    (): Wanted => ({ kind: params.kind ?? "", namespace: params.namespace ?? "", subject: params.subject ?? "" }),
    undefined,
    { equals: (a, b) => a.kind === b.kind && a.namespace === b.namespace && a.subject === b.subject },
  );
  let gone = new AbortController();
  const start = async (asked: Wanted) => {
    gone.abort();
    gone = new AbortController();
    const { signal } = gone;
    setFeed(EMPTY);
    setFilled(false);
    setFailed("");
    setLive(false);
    try {
      const then = pastRevision();
      if (then) {
        const found = await olderEvents(asked, then + 1, signal);
        if (signal.aborted) return;
        setFeed({ ...arrived(EMPTY, found.events, false), revision: then, complete: found.complete });
        setFilled(true);
        return;
      }
      const page = await newestEvents(asked, FIRST, signal);
      if (signal.aborted) return;
      const first = arrived(EMPTY, page.items, false);
      setFeed({ ...first, revision: Math.max(first.revision, page.revision), complete: page.items.length < FIRST });
      setFilled(true);
      watchEvents(
        asked,
        {
          events: (batch) => setFeed((now) => arrived(now, batch, paused() || held())),
          live: setLive,
          gap: () => void start(asked),
          resume: () => ({ revision: feed().revision, log: feed().log }),
        },
        signal,
      );
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setFailed(error.message);
      const timer = setTimeout(() => void start(asked), 3_000);
      signal.addEventListener("abort", () => clearTimeout(timer));
    }
  };
  createEffect(on([wanted, pastRevision], ([asked]) => void start(asked)));
  onCleanup(() => gone.abort());

  const older = async () => {
    if (fetching()) return;
    setFetching(true);
    try {
      const found = await olderEvents(wanted(), oldestRevision(feed()), gone.signal);
      setFeed((now) => before(now, found.events, found.complete));
    } catch (error) {
      if (!(error instanceof Refused)) return;
      // Those are not kept any more: then there is nothing older.
      if (error.code === "trimmed") setFeed((now) => ({ ...now, complete: true }));
      else setFailed(error.message);
    } finally {
      setFetching(false);
    }
  };
  const resume = () => {
    setPaused(false);
    setFeed(released);
  };

  const text = () => typed().toLowerCase();
  const matching = (found: readonly CloudEvent[]): readonly CloudEvent[] => {
    const words = text().split(/\s+/).filter(Boolean);
    const events = all() ? found : found.filter(ofInterest);
    if (!words.length) return events;
    return events.filter((event) => {
      const told = tell(event);
      const all = `${told.kind} ${told.subject} ${told.text} ${told.node} ${event.principal}`.toLowerCase();
      return words.every((word) => all.includes(word));
    });
  };
  const shown = createMemo(() => matching(feed().events));
  const listed = createMemo((): readonly Row[] => rowsOf(each() ? shown().map(alone) : folded(shown()), opened()));
  /** Somebody reads: nothing is to move that the pointer is about to press. What comes waits above. */
  const held = createMemo(() => !!listed().length && (reading() || away() || listed().some((row) => row.within)));
  const waiting = createMemo(() => matching(feed().held).length);
  createEffect(on([held, paused], ([isHeld, isPaused]) => isHeld || isPaused || setFeed(released)));
  const takeIn = () => {
    setFeed(released);
    scroll?.scrollTo({ top: 0 });
    // Its button goes with what waited.
    scroll?.focus({ preventScroll: true });
  };
  const toggle = (line: Line) => setOpened((now) => toggled(now, line));
  let scroll: HTMLDivElement | undefined;
  const rows = createVirtualizer({
    get count() {
      return listed().length;
    },
    getScrollElement: () => scroll ?? null,
    // Of those whose words have one line; others are as high as theirs.
    estimateSize: () => (narrow() ? NARROW_ROW : ROW),
    overscan: 10,
  });
  createEffect(() => {
    narrow();
    rows.measure();
  });

  return (
    <>
      <header class="page-head">
        <h1>
          Events
          <Show when={filled()}>
            <span class="faint">
              {count(shown().length)}
              {feed().complete ? "" : "+"}
            </span>
          </Show>
        </h1>
        <div class="page-tools">
          <fieldset class="filters">
            <legend class="visually-hidden">Only those about</legend>
            <For each={KINDS}>
              {(kind) => (
                <button
                  type="button"
                  class="filter"
                  aria-pressed={params.kind === kind}
                  onClick={() => setParams({ kind: params.kind === kind ? null : kind }, replace)}
                >
                  {kind}
                </button>
              )}
            </For>
          </fieldset>
          <label class="switch" title="Facts that the fabric needs and people hardly ever">
            <input
              type="checkbox"
              checked={!!all()}
              onChange={(event) => setAll(event.currentTarget.checked ? "1" : "")}
            />
            Bookkeeping
          </label>
          <label class="switch" title="Each of what happens again and again, on a line of its own">
            <input
              type="checkbox"
              checked={!!each()}
              onChange={(event) => setEach(event.currentTarget.checked ? "1" : "")}
            />
            Repeats
          </label>
          <Show when={params.subject}>
            <button
              type="button"
              class="filter"
              aria-pressed="true"
              onClick={() => setParams({ subject: null }, replace)}
            >
              about {visible(params.subject ?? "")} ×
            </button>
          </Show>
          <select
            class="field"
            aria-label="Namespace"
            onChange={(event) => setParams({ namespace: event.currentTarget.value || null }, replace)}
          >
            <option value="">All namespaces</option>
            <For each={[...fabric.all("namespace").values()].map((one) => one.name).sort()}>
              {(name) => (
                <option value={name} selected={params.namespace === name}>
                  {visible(name)}
                </option>
              )}
            </For>
          </select>
          <div class="search">
            <Search size={14} aria-hidden="true" />
            <input
              class="field"
              type="search"
              aria-label="Search events"
              placeholder="Search what is shown"
              value={typed()}
              onInput={(event) => setTyped(event.currentTarget.value)}
              autocomplete="off"
              spellcheck={false}
            />
          </div>
          <button
            type="button"
            class="button"
            aria-pressed={paused()}
            onClick={() => (paused() ? resume() : setPaused(true))}
          >
            <Show when={paused()} fallback={<Pause size={14} aria-hidden="true" />}>
              <Play size={14} aria-hidden="true" />
            </Show>
            {paused() ? (waiting() ? `Show ${plural(waiting(), "new one")}` : "Go on") : "Pause"}
          </button>
        </div>
      </header>
      {/* All of it: who goes from the list to what shows the new ones still reads. */}
      <section class="card table-card" aria-label="Events" {...within}>
        {/* There always, or the list would move when something waits. */}
        <div class="event-top">
          <span class={`state tone-${live() && !held() ? "good" : "wait"}`} role="status">
            <span class="mark" aria-hidden="true" />
            {paused()
              ? `Paused, ${plural(waiting(), "event")} came since`
              : pastRevision()
                ? "Until the revision that is shown"
                : live()
                  ? held()
                    ? "Held while you read"
                    : "Live"
                  : "Not live; it is tried again"}
          </span>
          <Show when={waiting() && !paused()}>
            <button type="button" class="event-new" title="Newer events, which wait while you read" onClick={takeIn}>
              <ArrowUp size={13} aria-hidden="true" />
              Show {count(waiting())} new
            </button>
          </Show>
        </div>
        <div
          class="table-scroll"
          role="log"
          aria-live="off"
          aria-label="Events"
          tabindex="0"
          ref={scroll}
          onScroll={(event) => setAway(event.currentTarget.scrollTop > 0)}
        >
          <Show
            when={shown().length}
            fallback={
              <div class="empty">
                <Show
                  when={filled()}
                  fallback={<span>{failed() ? `${failed()}; it is tried again.` : "Asking Nexus…"}</span>}
                >
                  <strong>{feed().events.length ? "Nothing matches" : "Nothing has happened"}</strong>
                  <Show when={!feed().complete}>
                    <span>Older ones may be there.</span>
                  </Show>
                </Show>
              </div>
            }
          >
            <div class="table-space" style={{ height: `${rows.getTotalSize()}px` }}>
              <For each={rows.getVirtualItems()}>
                {(item) => (
                  <Show when={listed()[item.index]}>
                    {(row) => (
                      <EventRow
                        row={row()}
                        index={item.index}
                        top={item.start}
                        opened={isOpen(row().line, opened())}
                        toggle={toggle}
                        measure={rows.measureElement}
                      />
                    )}
                  </Show>
                )}
              </For>
            </div>
          </Show>
        </div>
        <div class="event-foot">
          <Show when={failed() && filled()}>
            <span class="soft">{visible(failed())}</span>
          </Show>
          <Show
            when={!feed().complete}
            fallback={<span class="faint">{feed().events.length ? "Nothing older is kept here" : ""}</span>}
          >
            <button type="button" class="button" disabled={fetching() || !filled()} onClick={() => void older()}>
              {fetching() ? "Looking…" : "Older"}
            </button>
          </Show>
        </div>
      </section>
    </>
  );
}

interface RowProps {
  row: Row;
  index: number;
  top: number;
  opened: boolean;
  toggle(line: Line): void;
  /** Once it is drawn, and whenever its height changes. */
  measure(element: HTMLElement): void;
}

function EventRow(props: RowProps) {
  const { fabric } = useGiven();
  const told = createMemo(() => tellLine(props.row.line));
  const event = () => props.row.line.event;
  const href = () => {
    const [first] = props.row.line.events;
    return props.row.line.events.every((one) => one.subject === first?.subject) ? subjectHref(event().subject) : "";
  };
  // And anew where all heights have been forgotten: its own may be as it was, of which nobody would tell.
  const measured = (element: HTMLElement) =>
    createEffect(() => {
      narrow();
      queueMicrotask(() => element.isConnected && props.measure(element));
    });
  return (
    <div
      ref={measured}
      data-index={props.index}
      class="event-row"
      classList={{ narrow: narrow(), within: props.row.within }}
      style={{ transform: `translateY(${props.top}px)` }}
    >
      <time datetime={event().time} title={`${dateTime(told().atMs)} · revision ${event().revision}`}>
        {clock(told().atMs)}
      </time>
      <Mark tone={told().tone} />
      <span class="event-words">
        <span class="event-subject">
          <Show when={href()} fallback={<strong>{visible(told().subject)}</strong>}>
            {(to) => (
              <A href={to()}>
                <strong>{visible(told().subject)}</strong>
              </A>
            )}
          </Show>
        </span>{" "}
        <span class="event-what">
          <span>
            <span class="soft">{visible(told().text)}</span>
            <Show when={told().node}>
              <span class="faint"> on {visible(told().node)}</span>
            </Show>
          </span>{" "}
          <Show when={told().times}>
            <button
              type="button"
              class="event-times"
              aria-expanded={props.opened}
              onClick={() => props.toggle(props.row.line)}
            >
              <ChevronRight size={12} aria-hidden="true" />
              {told().times}
            </button>
          </Show>
        </span>
      </span>
      <span class="faint">{visible(told().kind)}</span>
      <button
        type="button"
        class="icon-button"
        aria-label={`The fabric as of revision ${event().revision}`}
        title="Show the fabric as of then"
        onClick={() => fabric.past.show(event().revision)}
      >
        <Rewind size={14} aria-hidden="true" />
      </button>
    </div>
  );
}
