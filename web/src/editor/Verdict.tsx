/** What is said of a text beside it: whose change is in its way, what is wrong with it, or what would come of it. */
import { For, Match, Show, Switch } from "solid-js";
import { Differences } from "../actions/Differences";
import { plural, visible } from "../words/format";
import type { Editing } from "./editing";
import { faultText } from "./mirror";
import { changes, PlanView } from "./PlanView";
import { Progress } from "./Progress";

export function Verdict(props: { of: Editing; name: string; namespace: string; command: string }) {
  // One text has one for as long as it is written.
  const { isNew, text, planning, plan, conflict, theirChanges, startOver, rebase, goToLine } = props.of;
  const failed = () => {
    const found = planning.checked();
    return found?.kind === "failed" ? found.message : "";
  };
  const elsewhere = () =>
    plan()?.agents.filter((one) => one.name !== props.name || one.namespace !== props.namespace) ?? [];
  return (
    <>
      <Show when={conflict()}>
        {(found) => (
          <section class="card block tone-bad" aria-labelledby="conflict-title" role="alert">
            <h2 id="conflict-title">Somebody else has changed it meanwhile</h2>
            <p>
              {visible(props.name)} is at v{found().now.version} with {plural(found().now.replicas, "replica")}. Your
              text was begun at v{found().from.version} with {plural(found().from.replicas, "replica")}. Nothing is
              applied until you choose.
            </p>
            <Show when={theirChanges().length}>
              <Differences of={theirChanges()} most={12} />
            </Show>
            <div class="action-bar">
              <button type="button" class="button" onClick={startOver}>
                Take theirs (Ctrl+Z brings yours back)
              </button>
              <button type="button" class="button" onClick={rebase}>
                Keep mine, and plan it over v{found().now.version}
              </button>
            </div>
          </section>
        )}
      </Show>
      <Show when={planning.steps().length}>
        <Progress steps={planning.steps()} />
      </Show>
      <div role="status" class="editor-side" aria-live="polite">
        <Switch fallback={<p class="soft">{text()?.trim() ? "Looking at it…" : ""}</p>}>
          <Match when={planning.faults().length && !plan()}>
            <section class="card block tone-bad" aria-labelledby="faults-title">
              <h2 id="faults-title">{plural(planning.faults().length, "fault")}</h2>
              <ul class="faults">
                <For each={planning.faults()}>
                  {(fault) => (
                    <li>
                      <button type="button" class="fault" onClick={() => goToLine(fault.line)}>
                        <span class="faint">line {fault.line || "?"}</span>
                        <span>{faultText(fault)}</span>
                      </button>
                    </li>
                  )}
                </For>
              </ul>
            </section>
          </Match>
          <Match when={failed()}>{(why) => <p class="notice calm">{visible(why())}</p>}</Match>
          <Match when={plan()}>
            {(found) => (
              <>
                <Show when={!isNew && elsewhere().length}>
                  <p class="notice calm">
                    The text is of{" "}
                    {elsewhere()
                      .map((one) => visible(`${one.namespace}/${one.name}`))
                      .join(", ")}{" "}
                    too: {visible(props.name)} itself stays as it is where the text does not name it.
                  </p>
                </Show>
                <Show when={isNew && !planning.steps().length && found().agents.filter((one) => one.before).length}>
                  <p class="notice">
                    There is an agent{" "}
                    {found()
                      .agents.filter((one) => one.before)
                      .map((one) => visible(`${one.namespace}/${one.name}`))
                      .join(", ")}{" "}
                    already: this would change it. For a new one, give it another name.
                  </p>
                </Show>
                <PlanView plan={found()} command={props.command} />
                <Show when={!changes(found()) && !planning.steps().length}>
                  <p class="soft">There is nothing to apply: all is as the text says.</p>
                </Show>
              </>
            )}
          </Match>
        </Switch>
      </div>
    </>
  );
}
