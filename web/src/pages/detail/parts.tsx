/** What the pages of one thing have in common. */
import { A, useNavigate } from "@solidjs/router";
import { type Accessor, createEffect, createMemo, createSignal, For, type JSX, Show } from "solid-js";
import { ActionBar, hrefOf, type Target, useChosen } from "../../actions";
import type { CloudEvent, Instance, InstanceExit } from "../../api/types";
import { useGiven } from "../../parts/context";
import { State } from "../../parts/State";
import { type Column, type Sort, Table } from "../../parts/Table";
import { useColumns } from "../../parts/UseCells";
import { createUse, usedNow } from "../../parts/use";
import { Waiting } from "../../parts/Waiting";
import { pastRevision } from "../../past/when";
import { ofInterest } from "../../words/events";
import { count, span, visible } from "../../words/format";
import { endedAs, instanceState, type State as Shown } from "../../words/states";
import { tallyOf } from "../../words/tally";
import { createAsked } from "../asked";
import { arrived, EMPTY } from "../events/feed";
import { folded, type Line, steady } from "../events/fold";
import { EventLines } from "../events/Lines";
import { latestEvents } from "../events/latest";
import { olderEvents } from "../events/source";
import { pieces } from "../logs/ansi";

interface HeadProps {
  above: readonly { text: string; href: string }[];
  title: string;
  state: Shown;
  targets: readonly Target[];
  more?: JSX.Element;
}

export function Head(props: HeadProps) {
  useChosen(() => props.targets);
  return (
    <header class="detail-head">
      <nav class="crumbs" aria-label="Above">
        <For each={props.above}>
          {(one, index) => (
            <>
              <Show when={index() > 0}>
                <span aria-hidden="true">/</span>
              </Show>
              <A href={one.href}>{visible(one.text)}</A>
            </>
          )}
        </For>
      </nav>
      <div class="detail-title">
        <h1>{visible(props.title)}</h1>
        <State state={props.state} />
        {props.more}
      </div>
      <ActionBar targets={props.targets} />
    </header>
  );
}

export function Figure(props: { title: string; children: JSX.Element }) {
  return (
    <div>
      <dt>{props.title}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

/** What was never there, or is no more. */
export function Gone(props: { what: string; href: string; list: string }) {
  const { fabric } = useGiven();
  return (
    <div class="empty">
      <Show when={fabric.filled()} fallback={<Waiting />}>
        <h1>{props.what} is not there</h1>
        <span>It may have been removed or replaced.</span>
        <A href={props.href}>{props.list}</A>
      </Show>
    </div>
  );
}

const SHOWN_ROWS = 10;
const ROW = 44;
const HEAD = 36;

export function InstanceTable(props: { label: string; instances: readonly Instance[]; withNode: boolean }) {
  const { fabric, nowMs } = useGiven();
  const navigate = useNavigate();
  const [sort, setSort] = createSignal<Sort>({ column: "name", down: false });
  const [cursor, setCursor] = createSignal("");
  const use = createUse("instance");
  const columns: Column<Instance>[] = [
    {
      id: "name",
      title: "Instance",
      width: 130,
      grow: 1,
      rank: 0,
      by: (one) => one.name,
      cell: (one) => (
        <A class="cell-name" href={hrefOf({ kind: "instance", object: one })} tabindex="-1">
          {visible(one.name)}
        </A>
      ),
    },
    {
      id: "state",
      title: "State",
      width: 120,
      grow: 3,
      rank: 0,
      by: (one) => one.status,
      cell: (one) => <State state={instanceState(one)} />,
    },
    ...(props.withNode
      ? [
          {
            id: "node",
            title: "Node",
            width: 90,
            grow: 0.8,
            rank: 1,
            by: (one: Instance) => one.node ?? "",
            cell: (one: Instance) => <span class="soft">{visible(one.node ?? "") || "none yet"}</span>,
          },
        ]
      : []),
    // Beside a page's other parts there is little room: the line tells most.
    ...useColumns<Instance>((one) => usedNow(one, use)).map((column) => ({
      ...column,
      rank: column.id === "line" ? 1 : 6,
    })),
    {
      id: "version",
      title: "Version",
      width: 60,
      rank: 5,
      right: true,
      by: (one) => one.version,
      cell: (one) => `v${one.version}`,
    },
    {
      id: "attempt",
      title: "Attempts",
      width: 70,
      rank: 5,
      right: true,
      by: (one) => one.attempt ?? 0,
      cell: (one) => count(one.attempt ?? 0),
    },
    {
      id: "since",
      title: "Since",
      width: 84,
      rank: 2,
      right: true,
      by: (one) => -one.since_ms,
      cell: (one) => <span class="soft">{span(nowMs() - one.since_ms)}</span>,
    },
  ];
  const counts = createMemo(() => tallyOf(props.instances, instanceState, endedAs));
  const names = new Intl.Collator("en", { numeric: true });
  const ids = createMemo(() => {
    const by = columns.find((one) => one.id === sort().column)?.by;
    const down = sort().down ? -1 : 1;
    return [...props.instances]
      .sort((a, b) => {
        const [left, right] = [by?.(a) ?? "", by?.(b) ?? ""];
        return (
          down *
          (typeof left === "number" && typeof right === "number"
            ? left - right
            : names.compare(String(left), String(right)))
        );
      })
      .map((one) => one.id);
  });
  return (
    <section class="card block flush" aria-label={props.label}>
      <div class="block-head">
        <h2>{props.label}</h2>
        <span class="faint">
          {[count(counts().there), ...counts().over.map((one) => `${count(one.count)} ${one.text}`)].join(", ")}
        </span>
      </div>
      <div
        class="table-box"
        style={{ height: `${HEAD + (ids().length ? Math.min(SHOWN_ROWS, ids().length) : 3) * ROW}px` }}
      >
        <Table
          label={props.label}
          columns={columns}
          ids={ids()}
          row={(id) => fabric.get("instance", id)}
          sort={sort()}
          onSort={setSort}
          onSeen={use.see}
          cursor={cursor()}
          onCursor={setCursor}
          onOpen={(id) => navigate(`/instances/${encodeURIComponent(id)}`)}
          beside={(one) => <State state={{ ...instanceState(one), more: "" }} />}
          under={(one) => (
            <>
              {visible(one.node ?? "") || "no node yet"} · v{one.version} · {span(nowMs() - one.since_ms)}
            </>
          )}
          empty={<p class="empty">None.</p>}
        />
      </div>
    </section>
  );
}

const LINES = 12;

export function EventsAbout(props: { subject: string; when: Accessor<unknown> }) {
  let feed = EMPTY;
  let of = "";
  const events = createAsked(
    () => props.subject,
    () => [props.when(), pastRevision()],
    15_000,
    async (subject, signal): Promise<readonly CloudEvent[]> => {
      const past = pastRevision();
      if (past) {
        const { events } = await olderEvents({ kind: "", namespace: "", subject }, past + 1, signal);
        return arrived(EMPTY, events, false).events;
      }
      feed = await latestEvents(of === subject ? feed : EMPTY, subject, signal);
      of = subject;
      return feed.events;
    },
    true,
  );
  const lines = createMemo(
    (before: readonly Line[]) => steady(folded((events.value() ?? []).filter(ofInterest)).slice(0, LINES), before),
    [],
  );
  return (
    <section class="card block" aria-labelledby="events-title">
      <div class="block-head">
        <h2 id="events-title">Events</h2>
        <A href={`/events?subject=${encodeURIComponent(props.subject)}`}>All</A>
      </div>
      <Show
        when={lines().length}
        fallback={<p class="soft">{events.failed() || (events.value() ? "None is kept." : "Asking Nexus…")}</p>}
      >
        <EventLines lines={lines()} about={props.subject} />
      </Show>
    </section>
  );
}

/** Green can hide it: how an attempt ended last, and what it said then. */
export function LastDeath(props: {
  title?: string;
  of: string;
  exit: InstanceExit;
  output: readonly string[];
  missing: string;
  href?: string;
}) {
  const { nowMs } = useGiven();
  return (
    <section class="card block" aria-labelledby="death-title">
      <div class="block-head">
        <h2 id="death-title">{props.title ?? "Last death"}</h2>
        <span class="faint">{span(nowMs() - (props.exit.ended_ms ?? 0))} ago</span>
      </div>
      <div class="death">
        <p>
          <Show when={props.href} fallback={<strong>{visible(props.of)}</strong>}>
            <A href={props.href ?? ""}>
              <strong>{visible(props.of)}</strong>
            </A>
          </Show>{" "}
          <span class={props.exit.code === 0 ? "soft" : "tone-bad state-text"}>
            {visible(props.exit.text ?? "") || "ended"}
          </span>
        </p>
        <Output lines={props.output} missing={props.missing} />
      </div>
    </section>
  );
}

/** The newest in sight, as a terminal stands: what it said last tells most. */
export function Output(props: { lines: readonly string[]; missing: string }) {
  const [box, setBox] = createSignal<HTMLElement>();
  // The same lines, asked for once more, leave a reader where they are.
  const said = createMemo(() => props.lines.join("\n"));
  createEffect(() => {
    const shown = box();
    if (shown && said()) shown.scrollTop = shown.scrollHeight;
  });
  return (
    <Show
      when={props.lines.length}
      fallback={<Show when={props.missing}>{(why) => <p class="soft">{visible(why())}</p>}</Show>}
    >
      <pre ref={setBox} class="output" tabindex="0" role="region" aria-label="Last output">
        <For each={props.lines}>
          {(line) => (
            <>
              <For each={pieces(line)}>{(piece) => <span class={piece.look}>{piece.text}</span>}</For>
              {"\n"}
            </>
          )}
        </For>
      </pre>
    </Show>
  );
}
