/** Output of an agent, an instance or all that was selected, over a time and by a pattern; its address can be handed on. */
import { A, useSearchParams } from "@solidjs/router";
import { createMemo, For, Show } from "solid-js";
import { Copied } from "../../actions/Copied";
import { agentHref, instanceHref, nodeHref } from "../../actions/target";
import { useGiven } from "../../parts/context";
import { useNames } from "../../parts/names";
import { useTitle } from "../../parts/title";
import { createTyped } from "../../parts/typed";
import { visible } from "../../words/format";
import { type Asked, commandOf, momentOf, namesOf, subjectsIn } from "./asked";
import { LogView } from "./LogView";

const LINES = 2_000;

export function LogsPage() {
  const { fabric } = useGiven();
  const params = useNames<{ namespace?: string; name?: string; id?: string }>();
  const [given, setGiven] = useSearchParams<{
    of?: string | string[];
    regex?: string;
    exact?: string;
    json?: string;
  }>();
  const [grep, setGrep] = createTyped("grep");
  const [since, setSince] = createTyped("since");
  const [until, setUntil] = createTyped("until");
  const of = createMemo(() => {
    if (params.id) return [`instance:${params.id}`];
    if (params.name) return [`agent:${params.namespace}/${params.name}`];
    return subjectsIn(given.of ?? "");
  });
  /** An instance has a name besides its id. */
  const shown = createMemo(() =>
    of().map((one) => {
      const id = one.slice(one.indexOf(":") + 1);
      if (!one.startsWith("instance:")) return one.replace(":default/", ":");
      const known = fabric.get("instance", id);
      return known ? `instance:${known.namespace === "default" ? "" : `${known.namespace}/`}${known.name}` : one;
    }),
  );
  const asked = (): Asked => ({
    of: of(),
    grep: grep(),
    regex: given.regex === "true",
    exact: given.exact === "true",
    since: since(),
    until: until(),
  });
  useTitle(() => (of().length ? `Output of ${visible(namesOf(shown()))}` : "Output"));
  const flag = (name: "regex" | "exact" | "json", on: boolean) =>
    setGiven({ [name]: on ? "true" : null }, { replace: true, scroll: false });
  const wrong = (text: string) => momentOf(text, fabric.nowMs()) === undefined;
  const alone = () => of().length === 1 && (of()[0] ?? "").startsWith("instance:");
  return (
    <>
      <header class="page-head">
        <h1>
          <span>
            {of().length ? "Output of " : "Output"}
            <For each={shown().slice(0, 4)}>
              {(one, index) => (
                <>
                  {index() ? ", " : ""}
                  <Subject text={one} of={of()[index()] ?? one} />
                </>
              )}
            </For>
            <Show when={shown().length > 4}> and {shown().length - 4} more</Show>
          </span>
        </h1>
      </header>
      <section class="card table-card" aria-label="Output">
        <Show
          when={of().length}
          fallback={
            <div class="empty">
              <strong>Nothing is chosen</strong>
              <span>
                Select some on the <A href="/map">map</A> and press L, or open an <A href="/agents">agent</A>, an{" "}
                <A href="/instances">instance</A> or a <A href="/nodes">node</A>: each has its output.
              </span>
            </div>
          }
        >
          <LogView
            asked={asked()}
            many={!alone()}
            tail={LINES}
            file={namesOf(shown()).replaceAll(/[^\w.-]+/g, "-") || "output"}
            json={given.json === "true"}
            onGrep={setGrep}
          >
            <Toggle label="Regular expression" on={given.regex === "true"} set={(on) => flag("regex", on)} />
            <Toggle label="Match case" on={given.exact === "true"} set={(on) => flag("exact", on)} />
            <When label="From" value={since()} wrong={wrong(since())} set={setSince} />
            <When label="Until" value={until()} wrong={wrong(until())} set={setUntil} />
            <Toggle label="Download as JSON lines" on={given.json === "true"} set={(on) => flag("json", on)} />
          </LogView>
        </Show>
        <Show when={of().length}>
          <p class="log-command">
            <Copied text={commandOf({ ...asked(), of: shown() })} />
          </p>
        </Show>
      </section>
    </>
  );
}

function Subject(props: { text: string; of: string }) {
  const name = () => props.text.slice(props.text.indexOf(":") + 1);
  const href = () => {
    const own = props.of.slice(props.of.indexOf(":") + 1);
    const [first, second] = own.split("/");
    if (props.of.startsWith("node:")) return nodeHref(own);
    if (props.of.startsWith("agent:")) return second ? agentHref(first ?? "", second) : agentHref("default", own);
    if (!props.of.startsWith("instance:")) return "";
    return second ? `/instances/${encodeURIComponent(first ?? "")}/${encodeURIComponent(second)}` : instanceHref(own);
  };
  return (
    <Show when={href()} fallback={visible(name())}>
      <A href={href()}>{visible(name())}</A>
    </Show>
  );
}

function Toggle(props: { label: string; on: boolean; set(on: boolean): void }) {
  return (
    <label class="log-toggle">
      <input type="checkbox" checked={props.on} onChange={(event) => props.set(event.currentTarget.checked)} />
      {props.label}
    </label>
  );
}

function When(props: { label: string; value: string; wrong: boolean; set(text: string): void }) {
  return (
    <label class="log-when">
      {props.label}
      <input
        class="field"
        value={props.value}
        placeholder="10m, 14:05"
        title="How long ago (10m), a time of the day (14:05) or a date and time (2026-11-26 14:05), in this browser's zone"
        aria-invalid={props.wrong}
        onChange={(event) => props.set(event.currentTarget.value.trim())}
        autocomplete="off"
        spellcheck={false}
      />
      <Show when={props.wrong}>
        <span class="tone-bad state-text">no time: not used</span>
      </Show>
    </label>
  );
}
