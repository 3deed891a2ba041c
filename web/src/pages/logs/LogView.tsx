/** Output as it is written: of one instance, or of all replicas of an agent in order. */
import { createVirtualizer } from "@tanstack/solid-virtual";
import Download from "lucide-solid/icons/download";
import Pause from "lucide-solid/icons/pause";
import Play from "lucide-solid/icons/play";
import Search from "lucide-solid/icons/search";
import { createEffect, createMemo, createSignal, For, on, onCleanup, Show, untrack } from "solid-js";
import { useGiven } from "../../parts/context";
import { save } from "../../parts/exported";
import { ONLY_NOW, pastRevision } from "../../past/when";
import { clock, count, plural, visible } from "../../words/format";
import { pieces, plain } from "./ansi";
import { follow } from "./follow";
import { type Line, Lines } from "./lines";

export interface Source {
  id: string;
  name: string;
}

/** These are followed on a connection each; of more, all are asked again and again. */
const FOLLOWED = 3;
/** Of more instances than these only the first are shown. */
const MOST_SOURCES = 24;
const ROW = 20;

/** An instance of these may write more. */
const GOING = new Set(["pending", "placed", "starting", "running", "stopping", "unknown"]);

export function LogView(props: { sources: readonly Source[]; tail?: number; file: string; height?: string }) {
  const { fabric } = useGiven();
  let scroll: HTMLDivElement | undefined;
  let lines = new Lines();
  const [tick, setTick] = createSignal(0);
  const [ending, setEnding] = createSignal(true);
  const [needle, setNeedle] = createSignal("");
  const [trouble, setTrouble] = createSignal<Record<string, string>>({});
  const [ended, setEnded] = createSignal(false);

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
  const shown = () => (pastRevision() ? [] : props.sources.slice(0, MOST_SOURCES));
  const ids = createMemo(() =>
    shown()
      .map((one) => `${one.id} ${one.name}`)
      .join("\n"),
  );
  createEffect(
    on(ids, () => {
      const gone = new AbortController();
      onCleanup(() => gone.abort());
      lines = new Lines();
      const mine = lines;
      let open = shown().length;
      setTrouble({});
      setEnded(false);
      drawSoon();
      for (const { id, name } of shown()) {
        void follow(
          id,
          Math.max(20, Math.ceil((props.tail ?? 500) / Math.max(1, open))),
          shown().length <= FOLLOWED,
          {
            chunk: (chunk) => {
              mine.take(name, chunk);
              drawSoon();
            },
            trouble: (why) => setTrouble((now) => ({ ...now, [name]: why })),
            over: () => !GOING.has(untrack(() => fabric.get("instance", id))?.status ?? ""),
            ended: () => {
              mine.end(name);
              open -= 1;
              setEnded(open === 0);
              drawSoon();
            },
          },
          gone.signal,
        );
      }
    }),
  );

  const found = createMemo((): readonly Line[] => {
    tick();
    const text = needle().toLowerCase();
    if (!text) return [...lines.all];
    return lines.all.filter((one) => plain(one.text).toLowerCase().includes(text));
  });
  const rows = createVirtualizer({
    get count() {
      return found().length;
    },
    getScrollElement: () => scroll ?? null,
    estimateSize: () => ROW,
    overscan: 12,
  });
  createEffect(() => {
    found();
    if (ending()) queueMicrotask(() => scroll?.scrollTo({ top: scroll.scrollHeight }));
  });
  const scrolled = () => {
    if (!scroll) return;
    setEnding(scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < ROW * 1.5);
  };
  const troubles = () => [...new Set(Object.values(trouble()).filter(Boolean))];
  const download = () => {
    const text = found()
      .map((one) => `${new Date(one.atMs).toISOString()} ${one.who} ${one.stream} ${plain(one.text)}`)
      .join("\n");
    save(`${props.file}.log`, "text/plain", `${text}\n`);
  };
  const state = () => {
    if (pastRevision()) return "not told of the past";
    if (!props.sources.length) return "nothing runs";
    if (ended()) return "ended";
    return ending() ? "following" : "held";
  };

  return (
    <div class="log" style={{ height: props.height ?? "100%" }}>
      <div class="log-tools">
        <div class="search">
          <Search size={14} aria-hidden="true" />
          <input
            class="field"
            type="search"
            aria-label="Search the output"
            placeholder="Search what is shown"
            value={needle()}
            onInput={(event) => setNeedle(event.currentTarget.value)}
            autocomplete="off"
            spellcheck={false}
          />
        </div>
        <span class="faint tabular" role="status">
          {needle() ? `${count(found().length)} of ` : ""}
          {plural(lines.all.length + 0 * tick(), "line")} · {state()}
          <Show when={props.sources.length > MOST_SOURCES}>
            {" "}
            · of {MOST_SOURCES} instances out of {props.sources.length}
          </Show>
        </span>
        <Show when={troubles().length}>
          <span class="tone-wait state-text">{visible(troubles()[0] ?? "")}; it is tried again</span>
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
          aria-label="Download what is shown"
          title="Download what is shown"
          onClick={download}
        >
          <Download size={14} aria-hidden="true" />
        </button>
      </div>
      <div
        class="log-scroll"
        ref={scroll}
        tabindex="0"
        role="log"
        aria-live="off"
        aria-label="Output"
        onScroll={scrolled}
      >
        <Show
          when={found().length}
          fallback={
            <p class="empty">
              {pastRevision() ? `${ONLY_NOW}.` : needle() ? "No line has that in it." : "Nothing has been written yet."}
            </p>
          }
        >
          <div class="log-space" style={{ height: `${rows.getTotalSize()}px` }}>
            <For each={rows.getVirtualItems()}>
              {(item) => {
                const line = () => found()[item.index];
                return (
                  <Show when={line()}>
                    {(of) => (
                      <div
                        class={`log-line ${of().stream}`}
                        classList={{ alone: props.sources.length < 2 }}
                        style={{ transform: `translateY(${item.start}px)` }}
                        title={plain(of().text)}
                      >
                        <time>{clock(of().atMs)}</time>
                        <Show when={props.sources.length > 1}>
                          <span class="who">{visible(of().who)}</span>
                        </Show>
                        <span class="what">
                          <For each={pieces(of().text)}>
                            {(piece) => <Found text={piece.text} look={piece.look} needle={needle()} />}
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

function Found(props: { text: string; look: string; needle: string }) {
  const parts = () => {
    if (!props.needle) return [props.text];
    const at = props.text.toLowerCase().indexOf(props.needle.toLowerCase());
    if (at < 0) return [props.text];
    const end = at + props.needle.length;
    return [props.text.slice(0, at), props.text.slice(at, end), props.text.slice(end)];
  };
  return (
    <span class={props.look}>
      {parts()[0]}
      <Show when={parts().length === 3}>
        <mark>{parts()[1]}</mark>
        {parts()[2]}
      </Show>
    </span>
  );
}
