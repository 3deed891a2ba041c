/** A terminal in an instance. A program starts when somebody says so, once; what came of it is shown. */
import { A, type BeforeLeaveEventArgs, useBeforeLeave } from "@solidjs/router";
import { createEffect, createSignal, on, onCleanup, onMount, Show } from "solid-js";
import { instanceHref, nameOf, useChosen } from "../actions";
import { Copied } from "../actions/Copied";
import { shellWord } from "../actions/target";
import { Refused, request } from "../api/client";
import { proof } from "../api/session";
import type { Instance } from "../api/types";
import { useGiven } from "../parts/context";
import { kept } from "../parts/kept";
import { useNames } from "../parts/names";
import { retried } from "../parts/retried";
import { theme } from "../parts/theme";
import { useTitle } from "../parts/title";
import { IN_THE_PAST, pastRevision } from "../past/when";
import { visible } from "../words/format";
import type { Screen } from "./screen";
import { holdKeys, takeHeld, takeWanted } from "./wanted";
import { type End, MOST_WAITING, Wire } from "./wire";
import { SHELL, Unclosed, words } from "./words";
import "./terminal.css";

type Phase = { kind: "none" } | { kind: "opening" } | { kind: "running" } | { kind: "over"; end: End };

const aloud = kept("terminal.aloud");
const ENCODER = new TextEncoder();
/** Of the window, while it is dragged. */
const CALM_MS = 120;

export function TerminalPage() {
  const { fabric } = useGiven();
  const params = useNames<{ id: string }>();
  const instance = () => fabric.get("instance", params.id);
  const name = () => visible(instance()?.name ?? params.id);
  useTitle(() => `Terminal of ${name()}`);
  return (
    <>
      <header class="page-head">
        <h1>
          Terminal of <A href={instanceHref(params.id)}>{name()}</A>
        </h1>
      </header>
      {/* One of another instance is another one altogether. */}
      <Show when={params.id} keyed>
        {(id) => <Body id={id} instance={instance()} />}
      </Show>
    </>
  );
}

function Body(props: { id: string; instance: Instance | undefined }) {
  const [phase, setPhase] = createSignal<Phase>({ kind: "none" });
  const [command, setCommand] = createSignal("");
  const [wrong, setWrong] = createSignal("");
  const [size, setSize] = createSignal({ rows: 0, columns: 0 });
  const [lost, setLost] = createSignal("");
  const [leaves, setLeaves] = createSignal<BeforeLeaveEventArgs>();
  let host: HTMLDivElement | undefined;
  let start: HTMLButtonElement | undefined;
  let screen: Screen | undefined;
  let wire: Wire | undefined;
  let gone = false;
  /** Text is typed at the button, as if the program still ran: a space or Enter in it is not meant to start another. */
  let stray = false;
  const wanted = takeWanted(props.id);
  useChosen(() => (props.instance ? [{ kind: "instance", object: props.instance }] : []));

  const failed = (message: string) => {
    takeHeld();
    setPhase({ kind: "over", end: { kind: "refused", code: "unreachable", message, hint: "" } });
  };
  const open = async (): Promise<Screen | undefined> => {
    if (screen || !host) return screen;
    try {
      const { openScreen } = await retried(() => import("./screen"));
      if (gone) return undefined;
      const made = openScreen(host, aloud.all().has("on"));
      screen ??= made;
      const { terminal } = made;
      setSize({ rows: terminal.rows, columns: terminal.cols });
      terminal.onData((text) => send(ENCODER.encode(text)));
      terminal.onBinary((text) => send(Uint8Array.from(text, (one) => one.charCodeAt(0))));
      terminal.onResize(({ rows, cols }) => {
        setSize({ rows, columns: cols });
        wire?.resize(rows, cols);
      });
      terminal.attachCustomKeyEventHandler((event) => key(event, made));
      return made;
    } catch {
      failed("the terminal could not be loaded from Nexus");
      return undefined;
    }
  };
  const send = (data: Uint8Array<ArrayBuffer>) => {
    if (phase().kind !== "running") return;
    const taken = wire?.send(data) ?? true;
    setLost(
      taken ? "" : `The program does not read: more than ${MOST_WAITING >> 20} MiB waits, and what came was left out.`,
    );
  };
  /** False: not for the program. */
  const key = (event: KeyboardEvent, made: Screen): boolean => {
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
    const letter = event.key.toLowerCase();
    if (letter === "l") {
      // Tab belongs to the program: this is the way out for whoever has no pointer.
      if (event.type === "keydown") start?.focus();
    } else if (letter === "c" && made.terminal.hasSelection()) {
      if (event.type === "keydown") void navigator.clipboard?.writeText(made.terminal.getSelection());
    } else return true;
    event.preventDefault();
    return false;
  };

  const argv = (): readonly string[] => (command().trim() ? words(command()) : SHELL);
  const run = async () => {
    if (busy() || pastRevision()) return;
    let asked: readonly string[];
    try {
      asked = argv();
      setWrong("");
    } catch (error) {
      if (!(error instanceof Unclosed)) throw error;
      setWrong(`This is no command yet: ${error.message}.`);
      return;
    }
    setPhase({ kind: "opening" });
    setLost("");
    stray = false;
    holdKeys();
    const made = await open();
    if (!made || gone) return;
    made.terminal.reset();
    made.grow();
    const { rows, cols } = made.terminal;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const address = `${scheme}://${location.host}/v1/instances/${encodeURIComponent(props.id)}/exec`;
    let opened = false;
    const socket = new WebSocket(address, ["omnitide.v1", `proof.${proof()}`]);
    const mine = new Wire(
      socket,
      { command: asked, rows, columns: cols },
      {
        started: () => {
          opened = true;
          setPhase({ kind: "running" });
          // It may have been made larger meanwhile.
          mine.resize(made.terminal.rows, made.terminal.cols);
          made.terminal.focus();
          const typed = takeHeld();
          if (typed) send(ENCODER.encode(typed));
        },
        output: (data, dealt) => made.terminal.write(data, dealt),
        ended: (end) => {
          setPhase({ kind: "over", end });
          takeHeld();
          if (end.kind === "cut" && !opened) void why(end);
          // The keys are free again.
          start?.focus();
        },
      },
    );
    wire = mine;
  };
  /** A browser does not say why a WebSocket was refused: the same question as a request is answered with the reason. */
  const why = async (end: End) => {
    try {
      await request("GET", `/v1/instances/${encodeURIComponent(props.id)}/exec`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const now = phase();
      if (error.code === "upgrade-required" || now.kind !== "over" || now.end !== end) return;
      const { code, message, hint } = error;
      setPhase({ kind: "over", end: { kind: "refused", code, message, hint } });
    }
  };

  onMount(() => {
    if (!host) return;
    let calm: ReturnType<typeof setTimeout> | undefined;
    const watch = new ResizeObserver(() => {
      clearTimeout(calm);
      calm = setTimeout(() => screen?.grow(), CALM_MS);
    });
    watch.observe(host);
    const night = matchMedia("(prefers-color-scheme: dark)");
    const redress = () => screen?.dress();
    night.addEventListener("change", redress);
    createEffect(on(theme, redress, { defer: true }));
    onCleanup(() => {
      gone = true;
      takeHeld();
      clearTimeout(calm);
      watch.disconnect();
      night.removeEventListener("change", redress);
      wire?.leave();
      screen?.end();
    });
    if (wanted) void run();
    else start?.focus();
  });
  const busy = () => phase().kind === "opening" || phase().kind === "running";
  // A stray click is not to end what runs.
  useBeforeLeave((event) => {
    if (phase().kind !== "running") return;
    event.preventDefault();
    setLeaves(() => event);
  });
  const leaving = (event: BeforeUnloadEvent) => {
    if (phase().kind === "running") event.preventDefault();
  };
  addEventListener("beforeunload", leaving);
  onCleanup(() => removeEventListener("beforeunload", leaving));

  const line = () => {
    const { instance } = props;
    let asked: readonly string[] = SHELL;
    try {
      asked = argv();
    } catch (error) {
      if (!(error instanceof Unclosed)) throw error;
    }
    const of = instance ? nameOf({ kind: "instance", object: instance }) : props.id;
    return `omnitide exec -it ${shellWord(of)} -- ${asked.map(shellWord).join(" ")}`;
  };

  return (
    <section class="card table-card" aria-label="Terminal" data-keeps-letters>
      <form
        class="terminal-tools"
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <input
          class="field terminal-command"
          type="text"
          aria-label="Command"
          placeholder="A shell: bash where it is there, else sh"
          value={command()}
          disabled={busy()}
          onInput={(event) => setCommand(event.currentTarget.value)}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          maxlength={4096}
        />
        <Show
          when={phase().kind === "running"}
          fallback={
            <button
              ref={start}
              type="submit"
              onBlur={() => {
                stray = false;
              }}
              onKeyDown={(event) => {
                if (event.ctrlKey || event.metaKey || event.altKey) return;
                if (/^[^ ]$/.test(event.key)) stray = true;
                else if (stray && [" ", "Enter"].includes(event.key)) event.preventDefault();
              }}
              onKeyUp={(event) => {
                // A space is pressed when it is let go.
                if (stray && event.key === " ") event.preventDefault();
              }}
              class="button primary"
              disabled={phase().kind === "opening" || pastRevision() > 0}
              title={pastRevision() ? IN_THE_PAST : ""}
            >
              {phase().kind === "over" ? "Start anew" : "Start"}
            </button>
          }
        >
          <button
            ref={start}
            type="button"
            class="button grave-soft"
            title="The program is hung up on, as by closing a terminal's window"
            onClick={() => {
              wire?.leave();
              setPhase({ kind: "over", end: { kind: "cut", started: true } });
            }}
          >
            Hang up
          </button>
        </Show>
        <span class={`state terminal-state tone-${told(phase()).tone}`} role="status">
          <span class="mark" aria-hidden="true" />
          <span class="state-text">{told(phase()).text}</span>
        </span>
      </form>
      <div class="terminal-place">
        <div ref={host} class="terminal-host" />
      </div>
      <Show when={wrong() || lost() || besides(phase())}>
        {(text) => (
          <div class="terminal-say" role="alert">
            <p>{visible(text())}</p>
          </div>
        )}
      </Show>
      <Show when={phase().kind === "running" && leaves()}>
        {(event) => (
          <div class="terminal-say" role="alertdialog" aria-label="A program runs">
            <p>To leave this page hangs up on the program that runs here.</p>
            <button type="button" class="button" onClick={() => setLeaves()} ref={focusOnceThere}>
              Stay
            </button>
            <button type="button" class="button grave" onClick={() => event().retry(true)}>
              Hang up and leave
            </button>
          </div>
        )}
      </Show>
      <div class="terminal-foot">
        <span class="faint">
          <Show when={size().rows}>
            {size().columns} × {size().rows} ·{" "}
          </Show>
          Ctrl+Shift+L leaves the terminal, Ctrl+Shift+C copies
        </span>
        <label class="switch" title="Lets a screen reader read what a program writes">
          <input
            type="checkbox"
            checked={aloud.all().has("on")}
            onChange={() => {
              aloud.toggle("on");
              if (screen) screen.terminal.options.screenReaderMode = aloud.all().has("on");
            }}
          />
          Read aloud
        </label>
        <Copied text={line()} />
      </div>
    </section>
  );
}

function focusOnceThere(button: HTMLButtonElement): void {
  queueMicrotask(() => button.focus());
}

function told(phase: Phase): { tone: string; text: string } {
  switch (phase.kind) {
    case "none":
      return { tone: "off", text: "Nothing runs" };
    case "opening":
      return { tone: "busy", text: "Opening" };
    case "running":
      return { tone: "good", text: "Running" };
  }
  const { end } = phase;
  if (end.kind === "refused") return { tone: "bad", text: "Not started" };
  if (end.kind === "broke") return { tone: "bad", text: "The connection broke" };
  if (end.kind === "cut") return { tone: "wait", text: end.started ? "Hung up" : "Not opened" };
  if (end.signal) return { tone: "bad", text: `Ended by signal ${end.signal}` };
  return { tone: end.code ? "bad" : "good", text: `Exited with code ${end.code ?? 0}` };
}

/** What there is to say besides; empty if nothing. */
function besides(phase: Phase): string {
  if (phase.kind !== "over") return "";
  const { end } = phase;
  if (end.kind === "refused") {
    return `It was not started: ${end.message}.${end.hint ? ` ${end.hint}` : ""}`;
  }
  if (end.kind === "broke") {
    return `It ran until its connection broke: ${end.message}. It is not started again by itself: “Start anew” does.${
      end.hint ? ` ${end.hint}` : ""
    }`;
  }
  if (end.kind === "cut") {
    return end.started
      ? `The connection has ended, and with it the program. It is not started again by itself.`
      : "The connection to Nexus broke before anything was started.";
  }
  return "";
}
