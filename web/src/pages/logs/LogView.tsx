/** Output as it is written or was: of any number of instances in one order of time. */
import { createVirtualizer } from "@tanstack/solid-virtual";
import Download from "lucide-solid/icons/download";
import Pause from "lucide-solid/icons/pause";
import Play from "lucide-solid/icons/play";
import Search from "lucide-solid/icons/search";
import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, onMount, Show, untrack } from "solid-js";
import { tell } from "../../actions/toasts";
import { refusal } from "../../api/client";
import type { OutputLine } from "../../api/types";
import { useGiven } from "../../parts/context";
import { save } from "../../parts/exported";
import { narrow } from "../../parts/narrow";
import { ONLY_NOW, pastRevision } from "../../past/when";
import { clock, dateTime, plural, visible } from "../../words/format";
import { pieces, plain } from "./ansi";
import { type Asked, queryOf } from "./asked";
import { askLines, followLines } from "./follow";
import { type Line, Lines } from "./lines";
import { finder, marked } from "./marking";

const ROW = 20;
/** A guess, until it is drawn: its time and name, and one line. */
const NARROW_ROW = 38;
/** Letters. */
const LONGEST_NAME = 36;
/** After the last letter that is typed, until nodes are asked. */
const TYPED_MS = 250;
export const DOWNLOADED = 100_000;

export const NOTHING_ASKED: Asked = { of: [], grep: "", regex: false, exact: false, since: "", until: "" };

interface Props {
  asked: Asked;
  /** Lines of several, each with its name. */
  many: boolean;
  tail: number;
  file: string;
  height?: string;
  /** As JSON lines rather than text. */
  json?: boolean;
  onGrep(text: string): void;
  /** In the bar, behind the search. */
  children?: JSX.Element;
}

export function LogView(props: Props) {
  const { fabric } = useGiven();
  let scroll: HTMLDivElement | undefined;
  let lines = new Lines();
  const [tick, setTick] = createSignal(0);
  const [ending, setEnding] = createSignal(true);
  const [trouble, setTrouble] = createSignal("");
  const [refused, setRefused] = createSignal("");
  const [missing, setMissing] = createSignal<Record<string, OutputLine>>({});
  const [ended, setEnded] = createSignal(false);
  /** All that there is has been given: only then is it known that there is nothing, or no more. */
  const [answered, setAnswered] = createSignal(false);
  const [saving, setSaving] = createSignal(false);

  let drawing = false;
  const drawSoon = () => {
    if (drawing) return;
    drawing = true;
    // A burst is drawn once.
    setTimeout(() => {
      drawing = false;
      setTick((now) => now + 1);
    }, 60);
  };
  const question = createMemo(() => JSON.stringify(pastRevision() ? NOTHING_ASKED : props.asked));
  createEffect(
    on(question, (text) => {
      const asked = JSON.parse(text) as Asked;
      const gone = new AbortController();
      lines = new Lines();
      const mine = lines;
      setTrouble("");
      setRefused("");
      setMissing({});
      setEnded(false);
      setAnswered(false);
      drawSoon();
      if (!asked.of.length) return;
      const start = () => {
        const nowMs = untrack(() => fabric.nowMs());
        void followLines(
          queryOf(asked, nowMs),
          props.tail,
          !asked.until,
          {
            line: (line) => {
              if (line.stream === "note" && line.code !== "gap") {
                setMissing((now) => ({ ...now, [line.name || line.node]: line }));
              } else if (line.node in untrack(missing) || line.name in untrack(missing)) {
                // It gives lines again: what is still missing stands as a note among them.
                setMissing(({ [line.node]: _node, [line.name]: _name, ...rest }) => rest);
              }
              mine.take(line);
              drawSoon();
            },
            caughtUp: () => setAnswered(true),
            trouble: setTrouble,
            refused: setRefused,
            ended: () => {
              setEnded(true);
              setAnswered(true);
            },
          },
          gone.signal,
        );
      };
      const timer = setTimeout(start, asked.grep ? TYPED_MS : 0);
      onCleanup(() => {
        clearTimeout(timer);
        gone.abort();
      });
    }),
  );

  const shown = createMemo((): readonly Line[] => {
    tick();
    return [...lines.all];
  });
  const written = createMemo(() => shown().filter((one) => one.stream !== "note").length);
  const find = createMemo(() => finder(props.asked));
  /** As wide as the longest name that is there, up to a bound: names that begin alike are to be told apart. */
  const nameWidth = createMemo(() =>
    Math.min(LONGEST_NAME, Math.max(6, ...[...new Set(shown().map((one) => one.who))].map((who) => who.length))),
  );
  const rows = createVirtualizer({
    get count() {
      return shown().length;
    },
    getScrollElement: () => scroll ?? null,
    estimateSize: () => (narrow() ? NARROW_ROW : ROW),
    // Where lines are wrapped each has a height of its own.
    measureElement: (element) => (narrow() ? element.getBoundingClientRect().height : ROW),
    overscan: 12,
  });
  // At the end the end is held, below: to hold what is in sight as well would move away from it.
  rows.shouldAdjustScrollPositionOnItemSizeChange = (item, _, all) => !ending() && item.start < (all.scrollOffset ?? 0);
  createEffect(() => {
    narrow();
    rows.measure();
  });
  const measured = (element: HTMLElement) =>
    createEffect(() => {
      if (narrow()) queueMicrotask(() => element.isConnected && rows.measureElement(element));
    });
  const toEnd = () => scroll?.scrollTo({ top: scroll.scrollHeight });
  createEffect(() => {
    shown();
    rows.getTotalSize();
    if (ending()) queueMicrotask(toEnd);
  });
  // What is above and below the lines takes more or less room once it is known, as a window does that is resized.
  onMount(() => {
    if (!scroll) return;
    const resized = new ResizeObserver(() => ending() && toEnd());
    resized.observe(scroll);
    onCleanup(() => resized.disconnect());
  });
  let top = 0;
  const scrolled = () => {
    if (!scroll) return;
    const before = top;
    top = scroll.scrollTop;
    const end = scroll.scrollHeight - top - scroll.clientHeight < (narrow() ? NARROW_ROW * 3 : ROW * 1.5);
    // The end may have gone on since it was scrolled there: nobody has left it who has not gone back.
    if (end || top < before) setEnding(end);
  };
  const download = async () => {
    setSaving(true);
    try {
      const query = queryOf(props.asked, fabric.nowMs());
      query.set("limit", String(DOWNLOADED));
      const response = await askLines(query, props.json ? "application/x-ndjson" : "text/plain");
      if (!response.ok) throw await refusal(response);
      const text = await response.text();
      // What programs write for terminals does nothing in a file that somebody shows on one; JSON has it escaped.
      const told = props.json ? text : text.split("\n").map(plain).join("\n");
      save(`${props.file}.${props.json ? "jsonl" : "log"}`, props.json ? "application/x-ndjson" : "text/plain", told);
      const tail = told.slice(-2_000);
      const bounded = props.json ? tail.includes('"code":"limit"') : tail.includes("the most at a time");
      if (bounded)
        tell(false, `Only the first ${DOWNLOADED} lines are in the file`, "its last line says where to go on");
    } catch (error) {
      tell(false, "The output was not downloaded", (error as Error).message);
    } finally {
      setSaving(false);
    }
  };
  const state = () => {
    if (pastRevision()) return "not told of the past";
    if (!props.asked.of.length) return "nothing runs";
    if (refused()) return "not asked";
    if (!answered()) return "asking the nodes";
    if (ended()) return props.asked.until ? "all of that time" : "ended";
    return ending() ? "following" : "held";
  };
  const empty = () => {
    if (pastRevision()) return `${ONLY_NOW}.`;
    if (refused()) return visible(refused());
    if (!props.asked.of.length) return "Nothing runs, so nothing is written.";
    if (state() === "asking the nodes") return "Asking the nodes…";
    return props.asked.grep ? "No line has that in it." : "Nothing has been written yet.";
  };

  return (
    <div class="log" style={{ height: props.height ?? "100%", "--who": `${nameWidth()}ch` }}>
      <div class="log-tools">
        <div class="search">
          <Search size={14} aria-hidden="true" />
          <input
            class="field"
            type="search"
            aria-label="Search the output"
            placeholder="Search on the nodes"
            value={props.asked.grep}
            onInput={(event) => props.onGrep(event.currentTarget.value)}
            maxlength={1000}
            autocomplete="off"
            spellcheck={false}
          />
        </div>
        {props.children}
        <span class="faint tabular" role="status">
          <Show when={written() || answered()}>{plural(written(), "line")} · </Show>
          {state()}
          {shown().length >= props.tail ? " · older ones are in the download" : ""}
        </span>
        <Show when={trouble()}>
          <span class="tone-wait state-text">{visible(trouble())}; it is tried again</span>
        </Show>
        <button
          type="button"
          class="icon-button"
          aria-label={ending() ? "Stay here" : "Go to the end and follow"}
          title={ending() ? "Stay here" : "Go to the end and follow"}
          onClick={() => setEnding((now) => !now)}
        >
          <Show when={ending()} fallback={<Play size={14} aria-hidden="true" />}>
            <Pause size={14} aria-hidden="true" />
          </Show>
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Download all of it"
          title={`Download all that this finds, ${DOWNLOADED} lines at most`}
          disabled={saving() || !!pastRevision() || !props.asked.of.length}
          onClick={() => void download()}
        >
          <Download size={14} aria-hidden="true" />
        </button>
      </div>
      <Show when={Object.values(missing()).length}>
        <ul class="log-missing" aria-label="Missing lines" role="status">
          <For each={Object.values(missing()).slice(0, 5)}>{(note) => <li>{visible(note.text)}</li>}</For>
          <Show when={Object.values(missing()).length > 5}>
            <li>and {Object.values(missing()).length - 5} more</li>
          </Show>
        </ul>
      </Show>
      <div
        class="log-scroll"
        ref={scroll}
        tabindex="0"
        role="log"
        aria-live="off"
        aria-label="Output"
        onScroll={scrolled}
      >
        <Show when={shown().length} fallback={<p class="empty">{empty()}</p>}>
          <div class="log-space" style={{ height: `${rows.getTotalSize()}px` }}>
            <For each={rows.getVirtualItems()}>
              {(item) => {
                const line = () => shown()[item.index];
                return (
                  <Show when={line()}>
                    {(of) => (
                      <div
                        class={`log-line ${of().stream}`}
                        classList={{ alone: !props.many, wrapped: narrow() }}
                        data-index={item.index}
                        ref={measured}
                        style={{ transform: `translateY(${item.start}px)` }}
                        title={plain(of().text)}
                      >
                        <time title={dateTime(of().atMs)}>{clock(of().atMs)}</time>
                        <Show when={props.many}>
                          <span class="who">{visible(of().who)}</span>
                        </Show>
                        <span class="what">
                          <For each={marked(pieces(of().text), find())}>
                            {(part) => (
                              <Show when={part.found} fallback={<span class={part.look}>{part.text}</span>}>
                                <mark class={part.look}>{part.text}</mark>
                              </Show>
                            )}
                          </For>
                        </span>
                      </div>
                    )}
                  </Show>
                );
              }}
            </For>
          </div>
        </Show>
      </div>
    </div>
  );
}

/** On the page of something: its last lines, and a search of their own. */
export function LogCard(props: { of: readonly string[]; many: boolean; tail: number; file: string; height: string }) {
  const [grep, setGrep] = createSignal("");
  return (
    <LogView
      asked={{ ...NOTHING_ASKED, of: props.of, grep: grep() }}
      many={props.many}
      tail={props.tail}
      file={props.file}
      height={props.height}
      onGrep={setGrep}
    />
  );
}
