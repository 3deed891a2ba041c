/** Before anything is done: what happens, what is lost, the same for a terminal; and whether Nexus would take it. */
import { createEffect, createMemo, createSignal, For, on, onCleanup, onMount, Show } from "solid-js";
import { Refused, request } from "../api/client";
import type { AgentChanged, AgentVersion, AgentVersionList, Outlook } from "../api/types";
import { useGiven } from "../parts/context";
import { cutOff } from "../state/cut";
import { plural, span, visible } from "../words/format";
import { amiss, type Input, MOST_REPLICAS, NEWEST_IN_SHORT } from "./action";
import { Copied } from "./Copied";
import { Differences } from "./Differences";
import { type Begun, closed } from "./desk";
import { focusOf } from "./focus";
import { foreseeWhenFree, MOST, wantedChanges } from "./foresee";
import { type Lost, lostBy } from "./losses";
import { OutlookView } from "./OutlookView";
import { lostByDraining } from "./outlook";
import { perform, tryOut } from "./perform";
import { nameOf } from "./target";
import { WouldRefuse } from "./WouldRefuse";
import { usualWay, waysBack } from "./waysBack";

const SOON_MS = 200;
const NAMED = 8;
const NOTHING_LOST: Lost = { told: [], each: [] };
/** What these do is to bring what runs to another node; all else replaces it, and may come to another by that. */
const MOVING = new Set(["node.drain", "node.remove", "instance.migrate"]);

/** Enter at a list does what it does in a field that is typed in: it confirms. Space and the arrows choose. */
function confirmed(event: KeyboardEvent & { currentTarget: HTMLSelectElement }): void {
  if (event.key !== "Enter") return;
  event.preventDefault();
  if (!event.repeat) event.currentTarget.form?.querySelector<HTMLButtonElement>("button[type=submit]")?.click();
}

interface Tried {
  plan?: AgentChanged["plan"];
  node?: unknown;
}

export function ActionDialog(props: { begun: Begun }) {
  const { fabric, nowMs } = useGiven();
  let dialog: HTMLDialogElement | undefined;
  // What it is about stays as it was chosen, however the fabric goes on meanwhile.
  const { action, targets: all, version } = props.begun;
  const targets = all.filter((one) => !action.hindrance(one));
  const [first] = targets;
  const leftOut = all.length - targets.length;
  const firstAgent = first?.kind === "agent" ? first.object : undefined;
  const firstInstance = first?.kind === "instance" ? first.object : undefined;

  const [input, setInput] = createSignal<Input>({
    replicas: firstAgent?.replicas ?? 1,
    version: version ?? 0,
    node: "",
    atOnce: 0,
  });
  const [busy, setBusy] = createSignal(false);
  const [refused, setRefused] = createSignal<Refused>();
  const [tried, setTried] = createSignal<Tried>();
  const [versions, setVersions] = createSignal<readonly AgentVersion[]>([]);
  const gone = new AbortController();
  onCleanup(() => gone.abort());
  onMount(() => {
    dialog?.showModal();
    // A number that is typed takes the place of the one that is there.
    if (focus === "field") dialog?.querySelector<HTMLInputElement>("input.field")?.select();
  });

  if (action.ask?.kind === "version" && firstAgent) {
    const path = `/v1/namespaces/${encodeURIComponent(firstAgent.namespace)}/agents/${encodeURIComponent(firstAgent.name)}/versions`;
    request<AgentVersionList>("GET", path, undefined, gone.signal).then(
      (list) => setVersions(waysBack(list.items)),
      () => setVersions([]),
    );
  }
  const nodes = createMemo(() =>
    [...fabric.all("node").values()]
      .filter((one) => one.status === "live" && one.scheduling === "open" && one.id !== firstInstance?.node_id)
      .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })),
  );
  const around = () => ({ instances: fabric.all("instance").values(), nodes: fabric.all("node").values() });
  const focus = focusOf(action, targets, input(), around());
  /** Which version it is that Nexus takes by itself is known when all are, and is said. */
  const known = (): Input => {
    const usual = action.ask?.kind === "version" && !input().version ? usualWay(versions()) : undefined;
    return usual ? { ...input(), version: usual.number } : input();
  };
  /** One may go back to it all the same, and is to know. */
  const faulty = () => versions().find((one) => one.fault && one.number === known().version);
  const effect = () => (first ? action.effect(first, known(), around()) : "");

  // One alone is tried out at Nexus, which changes nothing: a refusal is told before it is asked for.
  let trial: AbortController | undefined;
  createEffect(
    on([input, cutOff], ([now, cut]) => {
      // What was answered to another input is no answer to this one.
      trial?.abort();
      setTried();
      setRefused();
      if (!first || targets.length !== 1 || amiss(now) || cut) return;
      const mine = new AbortController();
      trial = mine;
      const timer = setTimeout(async () => {
        try {
          const found = await tryOut<Tried>(action, first, now, mine.signal);
          if (mine.signal.aborted) return;
          setTried(found);
          setRefused();
        } catch (error) {
          if (mine.signal.aborted) return;
          if (!(error instanceof Refused)) throw error;
          setTried();
          setRefused(error);
        }
      }, SOON_MS);
      onCleanup(() => clearTimeout(timer));
    }),
  );
  onCleanup(() => trial?.abort());

  // What would move where, and what would fit nowhere: of all together, for one takes the room of another.
  const [outlook, setOutlook] = createSignal<Outlook>();
  const [blind, setBlind] = createSignal("");
  const [waiting, setWaiting] = createSignal(false);
  const foreseen = !!wantedChanges(action, targets, input()).length;
  /** What moves is told before the rule by which it does: it may be that nothing can. */
  const looksFirst = () => foreseen && MOVING.has(action.id) && !amiss(input());
  const tooMany = !foreseen && targets.length > 1 && !!wantedChanges(action, targets.slice(0, 1), input()).length;
  const losses = createMemo((): Lost => {
    if (amiss(input())) return NOTHING_LOST;
    // Of what stays where it is, nothing is lost: that is known when it has been looked ahead.
    if (action.id === "node.drain" && foreseen && !blind()) {
      const found = outlook();
      return found ? { told: lostByDraining(found), each: [] } : NOTHING_LOST;
    }
    return lostBy(action, targets, input(), around);
  });
  /** As long as there is nothing to show. */
  const ahead = () => {
    if (blind()) return `It cannot be told: ${visible(blind())}`;
    return waiting() ? "Nexus looks ahead for others first; it is asked again in a moment…" : "Looking ahead…";
  };
  let looking: AbortController | undefined;
  createEffect(
    on([input, cutOff], ([now]) => {
      const changes = wantedChanges(action, targets, now);
      looking?.abort();
      setOutlook();
      setBlind("");
      setWaiting(false);
      if (!changes.length || amiss(now)) return;
      const mine = new AbortController();
      looking = mine;
      const timer = setTimeout(async () => {
        try {
          const found = await foreseeWhenFree(changes, mine.signal, () => setWaiting(true));
          if (mine.signal.aborted) return;
          setOutlook(found);
          setBlind("");
        } catch (error) {
          if (mine.signal.aborted) return;
          if (!(error instanceof Refused)) throw error;
          setOutlook();
          setBlind(error.message);
        }
      }, SOON_MS);
      onCleanup(() => clearTimeout(timer));
    }),
  );
  onCleanup(() => looking?.abort());

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (busy() || !targets.length) return;
    setBusy(true);
    await perform(action, targets, input());
    dialog?.close();
  };
  const usual = () => usualWay(versions());
  const title = () =>
    `${action.title} ${first && all.length === 1 ? visible(nameOf(first)) : plural(targets.length, action.kind)}`;
  const commands = () => (amiss(input()) ? [] : targets).map((one) => `omnitide ${action.command(one, input())}`);
  const goesTo = () => {
    const node = tried()?.node;
    return action.id === "instance.migrate" && typeof node === "string" ? node : "";
  };

  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="dialog-title" onClose={closed}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="dialog-title">{all.length === 1 && !first ? `${action.title}: it cannot be done` : title()}</h2>
        <div class="dialog-middle">
          <Show when={all.length > 1}>
            <p class="soft">
              {targets.slice(0, NAMED).map(nameOf).map(visible).join(", ")}
              {targets.length > NAMED ? ` and ${targets.length - NAMED} more` : ""}
              <Show when={leftOut}>
                {" "}
                · {leftOut} left out: {all.map((one) => action.hindrance(one)).find(Boolean)}
              </Show>
            </p>
          </Show>
          <Show when={!first}>
            <p>{visible(all[0] ? `${nameOf(all[0])}: ${action.hindrance(all[0])}` : "nothing is chosen")}</p>
          </Show>

          <Show when={first && action.ask?.kind === "replicas"}>
            <label class="asked">
              {action.ask?.title}
              <input
                class="field"
                type="number"
                min="0"
                max={MOST_REPLICAS}
                required
                autofocus
                value={input().replicas}
                onInput={(event) => setInput((now) => ({ ...now, replicas: event.currentTarget.valueAsNumber }))}
              />
            </label>
          </Show>
          <Show when={first && action.ask?.kind === "atOnce"}>
            <label class="asked">
              {action.ask?.title}
              <input
                class="field"
                type="number"
                min="1"
                max={MOST_REPLICAS}
                placeholder="as its update allows"
                onInput={(event) => setInput((now) => ({ ...now, atOnce: event.currentTarget.valueAsNumber || 0 }))}
              />
            </label>
          </Show>
          <Show when={first && action.ask?.kind === "version"}>
            <label class="asked">
              {action.ask?.title}
              <select
                class="field"
                autofocus
                value={String(input().version)}
                onKeyDown={confirmed}
                onChange={(event) => setInput((now) => ({ ...now, version: Number(event.currentTarget.value) }))}
              >
                <Show when={!usual()}>
                  <option value="0">{NEWEST_IN_SHORT}</option>
                </Show>
                <For each={versions()}>
                  {(one) => {
                    // The one that Nexus takes by itself need not be named to it, unless somebody has.
                    const value = () => (one === usual() && one.number !== version ? 0 : one.number);
                    return (
                      <option value={String(value())} selected={value() === input().version}>
                        v{one.number}
                        {one === usual() ? `: ${NEWEST_IN_SHORT}` : ""} · {span(nowMs() - one.created_ms)} ago
                        {one.reason && one !== usual() ? ` · ${visible(one.reason)}` : ""}
                      </option>
                    );
                  }}
                </For>
              </select>
            </label>
            <Show when={faulty()}>
              {(found) => (
                <p class="tone-bad state-text" role="status">
                  v{found().number} did not work: {visible(found().fault)}
                </p>
              )}
            </Show>
          </Show>
          <Show when={first && action.ask?.kind === "node"}>
            <label class="asked">
              {action.ask?.title}
              <select
                class="field"
                autofocus
                onKeyDown={confirmed}
                onChange={(event) => setInput((now) => ({ ...now, node: event.currentTarget.value }))}
              >
                <option value="">any other that can take it</option>
                <For each={nodes()}>{(one) => <option value={one.name}>{visible(one.name)}</option>}</For>
              </select>
            </label>
          </Show>

          <Show when={first}>
            <Show when={tooMany}>
              <p>What would come of it is told of {MOST} at a time.</p>
            </Show>
            <Show when={!looksFirst() && (targets.length === 1 || !(foreseen || tooMany))}>
              <p>{amiss(input()) || effect()}</p>
            </Show>
            <Show when={goesTo()}>
              <p>
                It would go to <strong>{visible(goesTo())}</strong>.
              </p>
            </Show>
            <Show when={tried()?.plan?.differences?.length}>
              <Differences of={tried()?.plan?.differences ?? []} />
            </Show>
            <Show when={foreseen && !refused() && !amiss(input())}>
              <section class="foreseen" aria-labelledby="foreseen-title" aria-busy={!outlook() && !blind()}>
                <strong id="foreseen-title">What would come of it</strong>
                <Show when={outlook()} fallback={<p class="soft">{ahead()}</p>}>
                  {(found) => <OutlookView of={found()} anew={!MOVING.has(action.id)} />}
                </Show>
              </section>
            </Show>
            <Show when={looksFirst() && targets.length === 1}>
              <p>{effect()}</p>
            </Show>
            <Show when={losses().told.length}>
              <div class="losses">
                <strong>What is lost</strong>
                <ul>
                  <For each={losses().told}>{(one) => <li>{visible(one)}</li>}</For>
                </ul>
                <Show when={losses().each.length}>
                  <details>
                    <summary>Of each</summary>
                    <ul>
                      <For each={losses().each}>{(one) => <li>{visible(one)}</li>}</For>
                    </ul>
                  </details>
                </Show>
              </div>
            </Show>
            <WouldRefuse refused={refused()} />
            <Show when={cutOff()}>
              <p class="notice calm" id="cut-off" role="status">
                There is no connection to Nexus: nothing can be done until it is back.
              </p>
            </Show>
            <div class="on-the-command-line">
              <span class="faint">The same on the command line</span>
              <Copied text={commands().join("\n")} />
            </div>
          </Show>
        </div>
        <div class="dialog-foot">
          <button type="button" class="button" autofocus={focus === "cancel"} onClick={() => dialog?.close()}>
            {first ? "Cancel" : "Close"}
          </button>
          <Show when={first}>
            <button
              type="submit"
              class="button"
              classList={{ primary: !action.grave, grave: !!action.grave }}
              disabled={busy() || cutOff() || !!refused() || !!amiss(input())}
              aria-describedby={cutOff() ? "cut-off" : undefined}
              autofocus={focus === "act"}
            >
              {action.title}
            </button>
          </Show>
        </div>
      </form>
    </dialog>
  );
}
