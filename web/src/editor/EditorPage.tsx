/** An agent as text: what is wrong with it, what would come of it, and doing it. A page of its own. */
import { A, useNavigate } from "@solidjs/router";
import { Show } from "solid-js";
import { shellWord } from "../actions/target";
import { NamespaceChoice } from "../namespaces/NamespaceChoice";
import { useGiven } from "../parts/context";
import { save } from "../parts/exported";
import { useNames } from "../parts/names";
import { useTitle } from "../parts/title";
import { span, visible } from "../words/format";
import { CodeEditor } from "./CodeEditor";
import "./editor.css";
import { createEditing } from "./editing";
import type { Form } from "./lines";
import { Verdict } from "./Verdict";

export function EditorPage() {
  const params = useNames<{ namespace?: string; name?: string }>();
  // Another agent is another text, with another history of its changes.
  return (
    <Show when={`${params.namespace ?? ""}/${params.name ?? ""}`} keyed>
      <Page namespace={params.namespace ?? ""} name={params.name ?? ""} />
    </Show>
  );
}

function Page(props: { namespace: string; name: string }) {
  const { fabric, nowMs } = useGiven();
  const navigate = useNavigate();
  const editing = createEditing(fabric, { namespace: props.namespace, name: props.name });
  const { isNew, text, form, base, namespace, plan, planning, ready, failed, typed, back } = editing;
  useTitle(() => (isNew ? "New agent" : `Edit ${visible(props.name)}`));
  const fileName = () =>
    `${visible(props.name || plan()?.agents[0]?.name || "agent").replace(/[^\w.-]/g, "-")}.${form()}`;
  const command = () =>
    `omnitide ${namespace() === "default" ? "" : `-n ${shellWord(namespace())} `}apply -f ${shellWord(fileName())}`;

  return (
    <>
      <header class="page-head">
        <h1>
          <Show when={!isNew} fallback="New agent">
            <A href={`/agents/${encodeURIComponent(props.namespace)}/${encodeURIComponent(props.name)}`}>
              {visible(props.name)}
            </A>
            <span class="faint">edit{base() ? `, begun at v${base()?.version}` : ""}</span>
          </Show>
        </h1>
        <div class="page-tools">
          <label class="editor-choice">
            <span class="soft">Format</span>
            <select
              class="field"
              value={form()}
              onChange={(event) => {
                const next = event.currentTarget.value as Form;
                event.currentTarget.value = form();
                void editing.reshape(next);
              }}
            >
              <option value="yaml" selected={form() === "yaml"}>
                YAML
              </option>
              <option value="toml" selected={form() === "toml"}>
                TOML
              </option>
            </select>
          </label>
          <Show when={isNew}>
            <NamespaceChoice class="editor-choice" quiet value={namespace()} onChosen={editing.setNamespace} />
          </Show>
          <label class="button file-button">
            Open a file
            <input
              type="file"
              class="visually-hidden"
              accept=".yaml,.yml,.toml,.json"
              onChange={(event) => {
                void editing.open(event.currentTarget.files);
                event.currentTarget.value = "";
              }}
            />
          </label>
          <button
            type="button"
            class="button"
            disabled={!text()}
            onClick={() => save(fileName(), "text/plain", text() ?? "")}
          >
            Download
          </button>
          <button type="button" class="button" disabled={!typed()} onClick={editing.startOver}>
            Start over
          </button>
          <button type="button" class="button primary" disabled={!ready()} onClick={() => void editing.apply()}>
            Apply
            <span class="kbd" aria-hidden="true">
              Ctrl+↵
            </span>
          </button>
        </div>
      </header>
      <div class="page-body">
        <div class="editor-page">
          <div class="editor-side">
            <Show when={failed()}>
              <p class="notice" role="alert">
                {visible(failed())}
              </p>
            </Show>
            <Show when={back()}>
              <p class="notice calm">
                What you typed {span(nowMs() - back())} ago is back. It was not applied; “Start over” gives it up.
              </p>
            </Show>
            <Show when={editing.unkept()}>
              <p class="notice">The text is too large to be kept in this tab: leaving the page loses it.</p>
            </Show>
            <Show when={fabric.stale()}>
              <p class="notice calm">
                Nexus cannot be reached now. What you type is kept, and looked at when it is back.
              </p>
            </Show>
            <section class="card code-card" aria-label="Text">
              <Show
                when={text() !== undefined}
                fallback={
                  <p class="soft empty">
                    {fabric.filled() && !editing.agent()
                      ? `Agent ${visible(props.name)} is not there`
                      : failed() || "Asking Nexus for its text…"}
                  </p>
                }
              >
                <CodeEditor
                  label={isNew ? "New agent" : `Agent ${props.name}`}
                  text={text() ?? ""}
                  form={form()}
                  schema={editing.schema()}
                  faults={planning.faults()}
                  onText={editing.taken}
                  onApply={() => void editing.apply()}
                  handle={(made) => {
                    editing.holds(made);
                    if (isNew) made.focus();
                  }}
                />
              </Show>
            </section>
            <p class="faint editor-keys">
              <Show when={!isNew}>
                Comments are not kept, and what is so by default is left out, but for what is reserved.
                <br />
              </Show>
              Ctrl+Space: what may stand here · Ctrl+↵: apply · F8: next fault · Tab leaves the text
            </p>
          </div>
          <div class="editor-side">
            <Verdict of={editing} name={props.name} namespace={props.namespace} command={command()} />
            <Show when={isNew}>
              <p class="soft">
                Or <A href="/import">import a Compose file</A>, or{" "}
                <button type="button" class="link" onClick={() => navigate("/agents")}>
                  see what runs
                </button>
                .
              </p>
            </Show>
          </div>
        </div>
      </div>
    </>
  );
}
