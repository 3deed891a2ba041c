/**
 * One text of agents while it is written: from where it is, what is kept of it, what would come of it, what others do to the
 * agent meanwhile, and applying it. What is shown of all that is the page's.
 */
import { batch, createEffect, createMemo, createSignal, on, onCleanup, onMount, untrack } from "solid-js";
import { Refused, request } from "../api/client";
import type { AgentVersionList, ManifestsRead, ManifestWritten } from "../api/types";
import type { Fabric } from "../state/fabric";
import type { Handle } from "./CodeEditor";
import { type Base, draftKey, dropDraft, getDraft, putDraft } from "./drafts";
import type { Form } from "./lines";
import { changes } from "./PlanView";
import { agentPath } from "./plan";
import { createPlanning } from "./planning";
import type { Schema } from "./schema";
import { template } from "./templates";

const KEEP_MS = 250;

let schemaOnce: Promise<Schema> | undefined;

export type Editing = ReturnType<typeof createEditing>;

/** `name`: empty for a new one. For one text: another agent is another of these. */
export function createEditing(fabric: Fabric, own: { namespace: string; name: string }) {
  const isNew = !own.name;
  const key = draftKey(own.namespace, own.name);
  const kept = getDraft(key);
  const [form, setForm] = createSignal<Form>(kept?.form ?? "yaml");
  const [text, setText] = createSignal<string | undefined>(
    kept?.text ?? (isNew ? template("yaml", new Set()) : undefined),
  );
  const [base, setBase] = createSignal<Base | undefined>(kept?.base);
  const [pristine, setPristine] = createSignal(kept ? "" : (text() ?? ""));
  const [back, setBack] = createSignal(kept?.atMs ?? 0);
  const [namespace, setNamespace] = createSignal(own.namespace || "default");
  const [schema, setSchema] = createSignal<Schema>();
  const [failed, setFailed] = createSignal("");
  const [unkept, setUnkept] = createSignal(false);
  let handle: Handle | undefined;
  const gone = new AbortController();
  const typed = () => text() !== undefined && text() !== pristine();
  const planning = createPlanning(() => {
    const now = text();
    return now === undefined ? undefined : { text: now, form: form(), namespace: namespace() };
  });

  // -- the text -------------------------------------------------------------------------------------------------------

  const written = (as: Form) =>
    request<ManifestWritten>(
      "GET",
      `${agentPath(own.namespace, own.name)}/manifest?format=${as}`,
      undefined,
      gone.signal,
    );
  const agent = createMemo(() => {
    if (isNew) return undefined;
    for (const one of fabric.all("agent").values()) {
      if (one.name === own.name && one.namespace === own.namespace) return one;
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
        request<AgentVersionList>("GET", `${agentPath(own.namespace, own.name)}/versions`, undefined, gone.signal).then(
          setTheirs,
          () => undefined,
        );
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
  const ready = () => !!plan() && changes(plan()) > 0 && !conflict() && !planning.applying();
  const apply = async () => {
    if (!ready()) return;
    const names = plan()?.agents ?? [];
    if (!(await planning.apply())) return;
    const last = planning.steps().find((one) => one.name === own.name && one.namespace === own.namespace);
    const planned = names.find((one) => one.name === own.name);
    if (last?.done.kind === "asked") {
      setBase({ version: last.done.version, replicas: planned?.changed.plan?.replicas_after ?? base()?.replicas ?? 0 });
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

  return {
    isNew,
    text,
    form,
    schema,
    agent,
    namespace,
    setNamespace,
    base,
    planning,
    plan,
    conflict,
    theirChanges,
    /** Somebody has typed, and it is not applied. */
    typed,
    /** When what was kept of an earlier visit was typed; 0: nothing is back. */
    back,
    failed,
    unkept,
    ready,
    taken,
    startOver,
    rebase,
    reshape,
    open,
    apply,
    /** The editor's own text, once it is there. */
    holds: (made: Handle) => {
      handle = made;
    },
    goToLine: (line: number) => handle?.goToLine(line),
  };
}
