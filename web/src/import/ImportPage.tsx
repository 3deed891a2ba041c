/** A Compose file as agents: what it makes of it, what is not carried over, and applying all of it. */
import { useNavigate } from "@solidjs/router";
import { batch, createEffect, createMemo, createSignal, For, on, onCleanup, Show } from "solid-js";
import { shellWord } from "../actions/target";
import { Refused, request } from "../api/client";
import type { ComposeImported, ImportRemark } from "../api/types";
import { putDraft } from "../editor";
import "../editor/editor.css";
import { changes, PlanView } from "../editor/PlanView";
import { Progress } from "../editor/Progress";
import type { Checked } from "../editor/plan";
import { createPlanning } from "../editor/planning";
import { createAsked } from "../pages/asked";
import { useTitle } from "../parts/title";
import { plural, visible } from "../words/format";
import {
  composeOf,
  type Dropped,
  dropped,
  namesProject,
  ofList,
  projectOf,
  setDropped,
  TooMuch,
  textsOf,
  withoutFolder,
} from "./dropped";
import "./import.css";
import { type Options, Settings } from "./Settings";
import { commandIn, missingIn, provide } from "./values";

/** The label that says whose an agent is. */
const OWNER = "compose.project";
const PAUSE_MS = 400;
/** They are made on a command line meanwhile. */
const MISSING_EVERY_MS = 3000;

export function ImportPage() {
  const navigate = useNavigate();
  const [files, setFiles] = createSignal<readonly Dropped[]>([]);
  const [compose, setCompose] = createSignal<readonly string[]>([]);
  const [options, setOptions] = createSignal<Options>({
    project: "",
    folder: "/srv",
    profiles: "",
    variables: "",
    namespace: "default",
  });
  const [made, setMade] = createSignal<ComposeImported>();
  const [failed, setFailed] = createSignal("");
  const [told, setTold] = createSignal<readonly string[]>([]);
  const [working, setWorking] = createSignal(false);
  useTitle(() => "Import a Compose file");

  createEffect(() => {
    const given = dropped();
    if (!given) return;
    setDropped(undefined);
    take(given);
  });
  const take = (given: readonly Dropped[]) => {
    const near = withoutFolder(given);
    const found = composeOf(near);
    setMade();
    setTold([]);
    planning.forget();
    setFailed(
      given.length && !found.length
        ? "None of these is a Compose file: no name such as compose.yaml, and no services in it"
        : "",
    );
    batch(() => {
      setFiles(near);
      setCompose(found);
      // As Compose does, where the files do not name it.
      setOptions((now) => ({ ...now, project: namesProject(near, found) ? "" : projectOf(given, found) }));
    });
  };
  const choose = async (list: FileList | null) => {
    if (!list?.length) return;
    try {
      take(await textsOf(ofList(list)));
    } catch (error) {
      if (!(error instanceof TooMuch)) throw error;
      setFailed(error.message);
    }
  };

  // -- what it is made of -----------------------------------------------------------------------------------------------

  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | undefined;
  /** Neither the files nor a person have said what the project is called. */
  const nameless = () => compose().length > 0 && !options().project.trim() && !namesProject(files(), compose());
  const ask = async () => {
    running?.abort();
    if (!compose().length || nameless()) return;
    const mine = new AbortController();
    running = mine;
    const { project, folder, profiles, variables } = options();
    const asked = {
      files: files(),
      compose: compose(),
      folder,
      project,
      profiles: profiles.split(/[\s,]+/).filter(Boolean),
      variables: Object.fromEntries(
        variables
          .split("\n")
          .filter((line) => line.includes("="))
          .map((line) => [line.slice(0, line.indexOf("=")).trim(), line.slice(line.indexOf("=") + 1)]),
      ),
    };
    try {
      const found = await request<ComposeImported>("POST", "/v1/imports/compose", asked, mine.signal);
      if (mine.signal.aborted) return;
      setMade(found);
      setFailed("");
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof Refused)) throw error;
      setMade();
      setFailed(error.hint ? `${error.message}: ${error.hint}` : error.message);
    }
  };
  const asked = createMemo(() => {
    const { namespace: _, ...rest } = options();
    return JSON.stringify([rest, compose(), files().map((one) => one.path)]);
  });
  createEffect(
    on([asked, files], () => {
      clearTimeout(timer);
      setMade();
      timer = setTimeout(() => void ask(), files().length ? PAUSE_MS : 0);
    }),
  );
  onCleanup(() => {
    clearTimeout(timer);
    running?.abort();
  });

  // -- doing it ---------------------------------------------------------------------------------------------------------

  /** An agent of that name that is not this project's is left alone. */
  const owned = (found: Checked): Checked => {
    if (found.kind !== "plan") return found;
    const others = found.plan.agents.filter((one) => one.before && one.before.spec.labels?.[OWNER] !== made()?.project);
    if (!others.length) return found;
    return {
      kind: "faults",
      faults: others.map((one) => ({
        line: one.line,
        field: one.name,
        message: `there is an agent ${one.namespace}/${one.name} already that does not belong to the project ${made()?.project ?? ""}`,
        hint: "give the project a namespace of its own",
      })),
    };
  };
  const planning = createPlanning(() => {
    const found = made();
    return found?.manifest
      ? { text: found.manifest, form: "yaml" as const, namespace: options().namespace }
      : undefined;
  }, owned);
  const plan = () => {
    const found = planning.checked();
    return found?.kind === "plan" ? found.plan : undefined;
  };
  const unplanned = () => {
    const found = planning.checked();
    return found?.kind === "failed" ? found.message : "";
  };
  const apply = async () => {
    const found = made();
    const now = plan();
    if (!found || !now || working()) return;
    setWorking(true);
    try {
      const own = new Set(now.agents.map((one) => `agent ${one.namespace}/${one.name}`));
      setTold(await provide(options().namespace, found.values, own));
      await planning.apply();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setFailed(`Nothing was applied: ${error.message}`);
    } finally {
      setWorking(false);
    }
  };
  const missing = createAsked(
    () => (made() ? `${options().namespace} ${JSON.stringify(made()?.create)}` : undefined),
    planning.applying,
    MISSING_EVERY_MS,
    async (_, signal) => missingIn(options().namespace, made() ?? { create: [], values: [] }, signal),
  );
  const waits = () => {
    const [first, ...more] = (plan() && missing.value()) || [];
    if (!first) return "";
    const what = `${first}${more.length ? ` and ${more.length} more` : ""}`;
    return `${what} ${more.length ? "are" : "is"} not there: what reads ${more.length ? "them" : "it"} waits`;
  };
  const edit = () => {
    const found = made();
    if (!found) return;
    putDraft("new", { text: found.manifest, form: "yaml", atMs: Date.now() });
    navigate("/agents/new");
  };
  const command = () => {
    const { project, profiles, namespace } = options();
    return [
      `omnitide ${namespace === "default" ? "" : `-n ${shellWord(namespace)} `}import compose`,
      ...compose().map(shellWord),
      ...(project ? [`--name ${shellWord(project)}`] : []),
      ...profiles
        .split(/[\s,]+/)
        .filter(Boolean)
        .map((one) => `--profile ${shellWord(one)}`),
      "--apply",
    ].join(" ");
  };
  const together = () => {
    const words = new Map<string, string[]>();
    for (const one of made()?.agents ?? []) {
      if (one.together) words.set(one.together, [...(words.get(one.together) ?? []), one.name]);
    }
    return [...words.values()].filter((names) => names.length > 1);
  };

  return (
    <>
      <header class="page-head">
        <h1>Import a Compose file</h1>
        <div class="page-tools">
          <span id="apply-waits" class="soft" role="status">
            {visible(waits())}
          </span>
          <Show when={made()?.manifest}>
            <button type="button" class="button" onClick={edit}>
              Edit as text
            </button>
          </Show>
          <button
            type="button"
            class="button primary"
            aria-describedby={waits() ? "apply-waits" : undefined}
            disabled={!plan() || !changes(plan()) || working() || planning.applying()}
            onClick={() => void apply()}
          >
            Apply all
          </button>
        </div>
      </header>
      <div class="page-body">
        <div class="editor-page">
          <div class="editor-side">
            <label class="card drop-place">
              <strong>{files().length ? "Other files" : "Drop a Compose file here, or choose one"}</strong>
              <span class="soft">
                With what it reads beside it: .env, env_file, included files, files of secrets and configs. A folder can
                be dropped too. Nothing is read but what you give.
              </span>
              <input
                type="file"
                multiple
                class="visually-hidden"
                aria-label="Compose files, and what they read"
                onChange={(event) => {
                  void choose(event.currentTarget.files);
                  event.currentTarget.value = "";
                }}
              />
              <span class="button" aria-hidden="true">
                Choose files
              </span>
            </label>
            <Show when={failed()}>
              <p class="notice" role="alert">
                {visible(failed())}
              </p>
            </Show>
            <Show when={files().length}>
              <Settings
                files={files()}
                compose={compose()}
                options={options()}
                onCompose={setCompose}
                onOptions={setOptions}
              />
            </Show>
          </div>
          <div class="editor-side" role="status" aria-live="polite">
            <For each={told()}>{(line) => <p class="notice calm">{visible(line)}</p>}</For>
            <Show when={planning.steps().length}>
              <Progress steps={planning.steps()} />
            </Show>
            <Show when={nameless()}>
              <p class="notice calm">
                What is the project called? Its files do not say (no “name:”), and a browser does not tell in which
                folder they lie: fill in “Project”, or drop the folder. Its agents are found by that name again.
              </p>
            </Show>
            <Show when={compose().length && !made() && !failed() && !nameless()}>
              <p class="soft">Reading it…</p>
            </Show>
            <Show when={made()}>
              {(found) => (
                <>
                  <Remarks id="faults" title="It is refused: nothing is made of it" tone="bad" of={found().faults} />
                  <Show when={!found().faults.length}>
                    <section class="card block" aria-labelledby="made-title">
                      <h2 id="made-title">
                        Project {visible(found().project)}: {plural(found().agents.length, "agent")},{" "}
                        {found().losses.length} not carried over
                      </h2>
                      <ul class="made">
                        <For each={found().agents}>
                          {(one) => (
                            <li>
                              <strong>{visible(one.name)}</strong> <code>{visible(one.image)}</code>
                              <Show when={Object.keys(one.needs).length}>
                                <span class="soft">
                                  {" "}
                                  after{" "}
                                  {Object.entries(one.needs)
                                    .map(([name, how]) => `${visible(name)} ${how}`)
                                    .join(", ")}
                                </span>
                              </Show>
                            </li>
                          )}
                        </For>
                      </ul>
                      <For each={together()}>
                        {(names) => (
                          <p class="soft">
                            Kept together on one node, where they reach each other by name:{" "}
                            {names.map(visible).join(", ")}
                          </p>
                        )}
                      </For>
                    </section>
                    <Remarks id="losses" title="Not carried over" tone="wait" of={found().losses} />
                    <Show when={found().create.length}>
                      <section class="card block" aria-labelledby="create-title">
                        <h2 id="create-title">Has to be there first</h2>
                        <ul class="made">
                          <For each={found().create}>
                            {(one) => (
                              <li>
                                {one.kind} <strong>{visible(one.name)}</strong>
                                <Show
                                  when={found().values.some(
                                    (value) => value.kind === one.kind && value.name === one.name,
                                  )}
                                  fallback={
                                    <>
                                      <Show when={one.reason}>
                                        <span class="soft"> ({visible(one.reason)})</span>
                                      </Show>
                                      <Show when={commandIn(options().namespace, one)}>
                                        {(line) => <code class="made-command">{visible(line())}</code>}
                                      </Show>
                                    </>
                                  }
                                >
                                  <span class="soft">
                                    {" "}
                                    · its value is in what you gave, and is put away with “Apply all”
                                  </span>
                                </Show>
                              </li>
                            )}
                          </For>
                        </ul>
                      </section>
                    </Show>
                    <Remarks id="notes" title="Carried over with a note" tone="off" of={found().notes} />
                  </Show>
                </>
              )}
            </Show>
            <Show when={planning.checked()?.kind === "faults" && made()?.manifest}>
              <section class="card block tone-bad" aria-labelledby="refused-title">
                <h2 id="refused-title">It cannot be applied as it is</h2>
                <ul class="made">
                  <For each={planning.faults()}>
                    {(fault) => <li>{visible([fault.message, fault.hint].filter(Boolean).join(": "))}</li>}
                  </For>
                </ul>
              </section>
            </Show>
            <Show when={made()?.manifest ? unplanned() : ""}>
              {(why) => <p class="notice calm">{visible(why())}</p>}
            </Show>
            <Show when={plan()}>{(found) => <PlanView plan={found()} command={command()} />}</Show>
          </div>
        </div>
      </div>
    </>
  );
}

function Remarks(props: { id: string; title: string; tone: string; of: readonly ImportRemark[] }) {
  return (
    <Show when={props.of.length}>
      <section class={`card block tone-${props.tone}`} aria-labelledby={`${props.id}-title`}>
        <h2 id={`${props.id}-title`}>{props.title}</h2>
        <ul class="remarks">
          <For each={props.of}>
            {(one) => (
              <li>
                <code>
                  {visible(one.file)}:{one.line}
                </code>{" "}
                <strong>{visible(one.key)}</strong>: {visible(one.message)}
              </li>
            )}
          </For>
        </ul>
      </section>
    </Show>
  );
}
