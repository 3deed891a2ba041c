/** The way through the past, above all pages: a slider over revisions, steps from event to event, and the way back. */
import ChevronLeft from "lucide-solid/icons/chevron-left";
import ChevronRight from "lucide-solid/icons/chevron-right";
import Rewind from "lucide-solid/icons/rewind";
import { createEffect, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import { shownKey } from "../actions/keys";
import { Refused } from "../api/client";
import type { CloudEvent } from "../api/types";
import { useGiven } from "../parts/context";
import { tell } from "../words/events";
import { count, dateTime, span, visible } from "../words/format";
import { Pressed } from "./pressed";
import { eventsAt, firstKept, Trail } from "./steps";
import "./past.css";

/** Between two looks at how far the fabric has come, while nobody moves the slider. */
const NEWEST_MS = 5_000;
const SOON_MS = 250;
/** Of the events of one revision. */
const TOLD = 3;

export function PastBar() {
  const { fabric } = useGiven();
  const { past } = fabric;
  // A deep link may be here before the fabric is; and it may ask for what has never been.
  const top = () => fabric.newest() || past.wanted();
  const [newest, setNewest] = createSignal(top());
  const [events, setEvents] = createSignal<readonly CloudEvent[]>();
  const [said, setSaid] = createSignal("");
  let slider: HTMLInputElement | undefined;
  const gone = new AbortController();
  onCleanup(() => gone.abort());

  const timer = setInterval(() => {
    if (!slider?.matches(":active")) setNewest(top());
  }, NEWEST_MS);
  onCleanup(() => clearInterval(timer));
  createEffect(() => {
    if (newest() <= past.wanted() || newest() > top()) setNewest(top());
  });

  const quietly = async (doing: () => Promise<void>) => {
    try {
      await doing();
    } catch (error) {
      if (gone.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setSaid(error.message);
    }
  };
  onMount(() => {
    void quietly(async () => past.keptFrom(await firstKept(gone.signal)));
  });
  const trail = new Trail();
  const presses = new Pressed(async (by) => {
    const from = past.wanted();
    if (!from) return "elsewhere";
    setSaid("");
    const to = await (by > 0 ? trail.after(from, gone.signal) : trail.before(from, gone.signal));
    if (past.wanted() !== from) return "elsewhere";
    if (to && to >= past.first()) {
      past.show(to);
      return "taken";
    }
    setSaid(by > 0 ? "Nothing has happened since." : "Nothing before it is kept.");
    return "end";
  });
  const step = (by: 1 | -1, held = false) => quietly(() => presses.take(by, held));
  const pressed = (event: KeyboardEvent) => {
    const typing = event.target instanceof Element && event.target.closest("input:not([type=range]), textarea, select");
    if (event.defaultPrevented || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "," || event.key === ".") {
      event.preventDefault();
      void step(event.key === "." ? 1 : -1, event.repeat);
    }
  };
  addEventListener("keydown", pressed);
  onCleanup(() => removeEventListener("keydown", pressed));

  // What happened there, once nobody moves on.
  createEffect(
    on(
      () => past.model()?.revision ?? 0,
      (revision) => {
        setEvents(undefined);
        if (!revision) return;
        const wait = setTimeout(
          () =>
            void quietly(async () => {
              setEvents(await eventsAt(revision, gone.signal));
            }),
          SOON_MS,
        );
        onCleanup(() => clearTimeout(wait));
      },
    ),
  );

  const shown = () => past.model();
  const happened = () => {
    const all = (events() ?? []).map(tell);
    if (events() && !all.length) return "It has no event of its own to tell.";
    const told = all.slice(0, TOLD).map((one) => `${one.subject} ${one.text}`);
    return told.join(", ") + (all.length > TOLD ? ` and ${all.length - TOLD} more` : "");
  };
  const words = () => {
    const found = shown();
    if (!found) return past.trouble() ? "" : `Looking for revision ${count(past.wanted())}…`;
    return `Revision ${count(found.revision)} · ${dateTime(found.timeMs)}`;
  };

  // The page's own time stands while the past is shown.
  const [second, setSecond] = createSignal(0);
  const ticking = setInterval(() => setSecond((now) => now + 1), 1_000);
  onCleanup(() => clearInterval(ticking));
  const ago = (thenMs: number) => {
    second();
    return span(fabric.liveMs() - thenMs);
  };
  return (
    <div class="past-bar" role="region" aria-label="Time travel">
      <p class="past-words">
        <Rewind size={16} aria-hidden="true" />
        <strong>The past, not now</strong>
        <span role="status" class="past-at">
          {words()}
        </span>
        <Show when={shown()}>{(found) => <span class="past-ago">{ago(found().timeMs)} ago</span>}</Show>
        <span class="past-event ellipsis">{visible(happened())}</span>
      </p>
      <div class="past-way">
        <button
          type="button"
          class="icon-button"
          aria-label="Event before"
          title="Event before ( , )"
          onClick={() => void step(-1)}
        >
          <ChevronLeft size={17} aria-hidden="true" />
        </button>
        <input
          ref={slider}
          type="range"
          aria-label="Revision"
          aria-valuetext={`revision ${past.wanted()} of ${newest()}`}
          min={past.first()}
          max={newest()}
          step="1"
          value={past.wanted()}
          onInput={(event) => {
            setSaid("");
            past.show(event.currentTarget.valueAsNumber);
          }}
        />
        <button
          type="button"
          class="icon-button"
          aria-label="Next event"
          title="Next event ( . )"
          onClick={() => void step(1)}
        >
          <ChevronRight size={17} aria-hidden="true" />
        </button>
        <button type="button" class="button" aria-keyshortcuts="Shift+T" onClick={() => past.back()}>
          Back to now
          <span class="kbd" aria-hidden="true">
            {shownKey("T")}
          </span>
        </button>
      </div>
      <Show when={past.trouble() || said()}>
        {(text) => (
          <p class="past-trouble" role="alert">
            {visible(text().charAt(0).toUpperCase() + text().slice(1))}
          </p>
        )}
      </Show>
    </div>
  );
}
