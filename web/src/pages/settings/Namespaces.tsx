import { For, Show } from "solid-js";
import { Copied } from "../../actions/Copied";
import { ask, holds, LIST_LINE } from "../../namespaces/namespaces";
import { useGiven } from "../../parts/context";
import { plural, visible } from "../../words/format";

/** Which there are and what is in each; made, and removed when they are empty. */
export function Namespaces() {
  const { fabric } = useGiven();
  const names = () => [...fabric.all("namespace").values()].map((one) => one.name).sort();
  const named = (name: string) => [...fabric.all("namespace").values()].find((one) => one.name === name);
  return (
    <section class="card block wide" aria-labelledby="namespaces">
      <div class="block-head">
        <h2 id="namespaces">Namespaces</h2>
        <button type="button" class="button" onClick={() => ask({ kind: "make", made: () => undefined })}>
          New namespace
        </button>
      </div>
      <ul class="list tokens" aria-label="Namespaces">
        <For each={names()}>
          {(name) => (
            <Show when={named(name)}>
              {(one) => (
                <li>
                  <span class="list-words">
                    <strong>{visible(name)}</strong>{" "}
                    <span class="soft">
                      {plural(one().agents, "agent")}, {plural(one().jobs, "job")}
                    </span>
                  </span>
                  <Show when={!holds(one())}>
                    <button
                      type="button"
                      class="button grave-soft"
                      aria-label={`Remove ${visible(name)}`}
                      onClick={() => ask({ kind: "remove", name })}
                    >
                      Remove
                    </button>
                  </Show>
                </li>
              )}
            </Show>
          )}
        </For>
      </ul>
      <div class="on-the-command-line">
        <span class="faint">The same on the command line</span>
        <Copied text={LIST_LINE} />
      </div>
    </section>
  );
}
