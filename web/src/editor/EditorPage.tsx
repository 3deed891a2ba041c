/** An agent as text: what is wrong with it, what would come of it, and doing it. A page of its own. */
import { A, useNavigate } from "@solidjs/router";
import {
  batch,
  createEffect,
  createMemo,
  createSignal,
  For,
  Match,
  on,
  onCleanup,
  onMount,
  Show,
  Switch,
  untrack,
} from "solid-js";
import { Differences } from "../actions/Differences";
import { shellWord } from "../actions/target";
import { Refused, request } from "../api/client";
import type { AgentVersionList, ManifestsRead, ManifestWritten } from "../api/types";
import { useGiven } from "../parts/context";
import { save } from "../parts/exported";
import { useNames } from "../parts/names";
import { useTitle } from "../parts/title";
import { plural, span, visible } from "../words/format";
import { CodeEditor, type Handle } from "./CodeEditor";
import { type Base, draftKey, dropDraft, getDraft, putDraft } from "./drafts";
import "./editor.css";
import type { Form } from "./lines";
import { faultText } from "./mirror";
import { changes, PlanView } from "./PlanView";
import { Progress } from "./Progress";
import { agentPath } from "./plan";
import { createPlanning } from "./planning";
import type { Schema } from "./schema";
import { template } from "./templates";

const KEEP_MS = 250;

let schemaOnce: Promise<Schema> | undefined;

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
  const isNew = !props.name;
  const key = draftKey(props.namespace, props.name);
  const kept = getDraft(key);
  const [form, setForm] = createSignal<Form>(kept?.form ?? "yaml");
  const [text, setText] = createSignal<string | undefined>(
    kept?.text ?? (isNew ? template("yaml", new Set()) : undefined),
  );
  const [base, setBase] = createSignal<Base | undefined>(kept?.base);
  const [pristine, setPristine] = createSignal(kept ? "" : (text() ?? ""));
  const [back, setBack] = createSignal(kept?.atMs ?? 0);
  const [namespace, setNamespace] = createSignal(props.namespace || "default");
  const [schema, setSchema] = createSignal<Schema>();
  const [failed, setFailed] = createSignal("");
  const [unkept, setUnkept] = createSignal(false);
  let handle: Handle | undefined;
  const gone = new AbortController();
  useTitle(() => (isNew ? "New agent" : `Edit ${visible(props.name)}`));

  const typed = () => text() !== undefined && text() !== pristine();
  const planning = createPlanning(() => {
    const now = text();
    return now === undefined ? undefined : { text: now, form: form(), namespace: namespace() };
  });

  // -- the text -------------------------------------------------------------------------------------------------------

  const written = (as: Form) =>
    request<ManifestWritten>(
      "GET",
      `${agentPath(props.namespace, props.name)}/manifest?format=${as}`,
      undefined,
      gone.signal,
    );
  const agent = createMemo(() => {
    if (isNew) return undefined;
    for (const one of fabric.all("agent").values()) {
      if (one.name === props.name && one.namespace === props.namespace) return one;
    }
    return undefined;
  });
  const show = (next: string) => {
    batch(() => {
      setText(next);
      setPristine(next);
      setBack(0);
    });
    handle?.replace(next);
    dropDraft(key);
  };
  const begin = async () => {
    try {
      const found = await written(form());
      const now = agent();
      if (now) setBase({ version: now.version, replicas: now.replicas });
      show(found.text);
      setFailed("");
    } catch (error) {
      if (gone.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setFailed(error.message);
    }
  };
  const startOver = () => {
    planning.forget();
    if (isNew) show(template(form(), names()));
    else void begin();
  };
  const names = () =>
    new Set([...fabric.all("agent").values()].filter((one) => one.namespace === namespace()).map((one) => one.name));
  // As long as nobody has typed, and not each time that an agent comes: the text is not to change below the eyes.
  createEffect(
    on([() => fabric.filled(), namespace], ([filled]) => {
      if (!isNew || !filled || untrack(() => typed() || back() || planning.steps().length)) return;
      const next = untrack(() => template(form(), names()));
      if (next !== text()) show(next);
    }),
  );
  createEffect(
    on([() => fabric.filled(), () => !!agent()], ([filled, there]) => {
      if (text() === undefined && filled && there) void begin();
    }),
  );
  onMount(() => {
    schemaOnce ??= request<Schema>("GET", "/v1/schemas/agent.json");
    schemaOnce.then(setSchema, () => {
      schemaOnce = undefined;
    });
  });

  let timer: ReturnType<typeof setTimeout> | undefined;
  const keep = () => {
    clearTimeout(timer);
    const now = text();
    if (now === undefined || !typed()) return;
    const from = base();
    setUnkept(!putDraft(key, { text: now, form: form(), atMs: Date.now(), ...(from ? { base: from } : {}) }));
  };
  const taken = (next: string) => {
    setText(next);
    clearTimeout(timer);
    timer = setTimeout(keep, KEEP_MS);
  };
  onCleanup(() => {
    keep();
    gone.abort();
  });

  const reshape = async (next: Form) => {
    if (!typed()) {
      setForm(next);
      startOver();
      return;
    }
    try {
      const asked = { text: text(), format: form(), namespace: namespace(), again_as: next };
      const read = await request<ManifestsRead>("POST", "/v1/manifests", asked, gone.signal);
      if (!read.text) throw new Refused("invalid", "what is wrong has to be mended first");
      batch(() => {
        setForm(next);
        setText(read.text);
      });
      handle?.replace(read.text);
      setFailed("");
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setFailed(`It stays ${form().toUpperCase()}: ${error.message}`);
    }
  };
  const open = async (files: FileList | null) => {
    const file = files?.[0];
    if (!file) return;
    if (file.size > 1 << 20) {
      setFailed(`${file.name} is larger than a text of agents may be`);
      return;
    }
    const next = await file.text();
    batch(() => {
      setForm(file.name.endsWith(".toml") ? "toml" : "yaml");
      setText(next);
    });
    handle?.replace(next);
    keep();
  };

  // What is planned is planned of an agent as it is: when that is another, the plan is too.
  const asPlanned = createMemo(() => {
    const found = planning.checked();
    if (found?.kind !== "plan") return "";
    return found.plan.agents.map((one) => fabric.get("agent", one.before?.id ?? "")?.revision ?? 0).join(" ");
  });
  createEffect(
    on(asPlanned, (now, before) => {
      if (now && before && now !== before && !planning.applying()) planning.again();
    }),
  );

  // -- what others do meanwhile ---------------------------------------------------------------------------------------

  const conflict = createMemo(() => {
    const from = base();
    const now = agent();
    if (isNew || !from || !now || planning.applying()) return undefined;
    return now.version === from.version && now.replicas === from.replicas ? undefined : { from, now };
  });
  const [theirs, setTheirs] = createSignal<AgentVersionList>();
  createEffect(
    on(
      () => conflict()?.now.version,
      (version) => {
        setTheirs();
        if (!version) return;
        request<AgentVersionList>(
          "GET",
          `${agentPath(props.namespace, props.name)}/versions`,
          undefined,
          gone.signal,
        ).then(setTheirs, () => undefined);
      },
    ),
  );
  const theirChanges = () =>
    (theirs()?.items ?? [])
      .filter((one) => one.number > (conflict()?.from.version ?? 0))
      .flatMap((one) => one.differences ?? []);
  const rebase = () => {
    const now = agent();
    if (now) setBase({ version: now.version, replicas: now.replicas });
    keep();
    planning.again();
  };

  // -- doing it -------------------------------------------------------------------------------------------------------

  const plan = () => {
    const found = planning.checked();
    return found?.kind === "plan" ? found.plan : undefined;
  };
  const ready = () =>
    !!plan() &&
    changes(plan() ?? { agents: [], outlook: undefined, noOutlook: "" }) > 0 &&
    !conflict() &&
    !planning.applying();
  const apply = async () => {
    if (!ready()) return;
    const names = plan()?.agents ?? [];
    if (!(await planning.apply())) return;
    const last = planning.steps().find((one) => one.name === props.name && one.namespace === props.namespace);
    const own = names.find((one) => one.name === props.name);
    if (last?.done.kind === "asked") {
      setBase({ version: last.done.version, replicas: own?.changed.plan?.replicas_after ?? base()?.replicas ?? 0 });
    }
    setPristine(text() ?? "");
    setBack(0);
    dropDraft(key);
    const [only] = names;
    if (isNew && only && names.length === 1) {
      // The text is that agent's from now on.
      dropDraft(draftKey(only.namespace, only.name));
    }
  };
  const fileName = () =>
    `${visible(props.name || plan()?.agents[0]?.name || "agent").replace(/[^\w.-]/g, "-")}.${form()}`;
  const command = () =>
    `omnitide ${namespace() === "default" ? "" : `-n ${shellWord(namespace())} `}apply -f ${shellWord(fileName())}`;
  const elsewhere = () =>
    plan()?.agents.filter((one) => one.name !== props.name || one.namespace !== props.namespace) ?? [];

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
                void reshape(next);
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
            <label class="editor-choice">
              <span class="soft">Namespace</span>
              <select class="field" onChange={(event) => setNamespace(event.currentTarget.value)}>
                <For each={[...fabric.all("namespace").values()]}>
                  {(one) => (
                    <option value={one.name} selected={one.name === namespace()}>
                      {visible(one.name)}
                    </option>
                  )}
                </For>
              </select>
            </label>
          </Show>
          <label class="button file-button">
            Open a file
            <input
              type="file"
              class="visually-hidden"
              accept=".yaml,.yml,.toml,.json"
              onChange={(event) => {
                void open(event.currentTarget.files);
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
          <button type="button" class="button" disabled={!typed()} onClick={startOver}>
            Start over
          </button>
          <button type="button" class="button primary" disabled={!ready()} onClick={() => void apply()}>
            Apply
            <span class="kbd" aria-hidden="true">
              Ctrl ↵
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
            <Show when={unkept()}>
              <p class="notice">The text is too large to be kept in this tab: leaving the page loses it.</p>
            </Show>
            <Show when={fabric.status().kind === "broken"}>
              <p class="notice calm">
                Nexus cannot be reached now. What you type is kept, and looked at when it is back.
              </p>
            </Show>
            <section class="card code-card" aria-label="Text">
              <Show
                when={text() !== undefined}
                fallback={
                  <p class="soft empty">
                    {fabric.filled() && !agent()
                      ? `Agent ${visible(props.name)} is not there`
                      : failed() || "Asking Nexus for its text…"}
                  </p>
                }
              >
                <CodeEditor
                  label={isNew ? "New agent" : `Agent ${props.name}`}
                  text={text() ?? ""}
                  form={form()}
                  schema={schema()}
                  faults={planning.faults()}
                  onText={taken}
                  onApply={() => void apply()}
                  handle={(made) => {
                    handle = made;
                    if (isNew) made.focus();
                  }}
                />
              </Show>
            </section>
            <p class="faint editor-keys">
              Ctrl Space: what may stand here · Ctrl ↵: apply · F8: next fault · Tab leaves the text
            </p>
          </div>
          <div class="editor-side">
            <Show when={conflict()}>
              {(found) => (
                <section class="card block tone-bad" aria-labelledby="conflict-title" role="alert">
                  <h2 id="conflict-title">Somebody else has changed it meanwhile</h2>
                  <p>
                    {visible(props.name)} is at v{found().now.version} with {plural(found().now.replicas, "replica")}.
                    Your text was begun at v{found().from.version} with {plural(found().from.replicas, "replica")}.
                    Nothing is applied until you choose.
                  </p>
                  <Show when={theirChanges().length}>
                    <Differences of={theirChanges()} most={12} />
                  </Show>
                  <div class="action-bar">
                    <button type="button" class="button" onClick={startOver}>
                      Take theirs (Ctrl Z brings yours back)
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
                            <button type="button" class="fault" onClick={() => handle?.goToLine(fault.line)}>
                              <span class="faint">line {fault.line || "?"}</span>
                              <span>{faultText(fault)}</span>
                            </button>
                          </li>
                        )}
                      </For>
                    </ul>
                  </section>
                </Match>
                <Match when={failedCheck(planning.checked())}>
                  {(why) => <p class="notice calm">{visible(why())}</p>}
                </Match>
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
                      <Show
                        when={isNew && !planning.steps().length && found().agents.filter((one) => one.before).length}
                      >
                        <p class="notice">
                          There is an agent{" "}
                          {found()
                            .agents.filter((one) => one.before)
                            .map((one) => visible(`${one.namespace}/${one.name}`))
                            .join(", ")}{" "}
                          already: this would change it. For a new one, give it another name.
                        </p>
                      </Show>
                      <PlanView plan={found()} command={command()} />
                      <Show when={!changes(found()) && !planning.steps().length}>
                        <p class="soft">There is nothing to apply: all is as the text says.</p>
                      </Show>
                    </>
                  )}
                </Match>
              </Switch>
            </div>
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

function failedCheck(checked: ReturnType<ReturnType<typeof createPlanning>["checked"]>): string {
  return checked?.kind === "failed" ? checked.message : "";
}
