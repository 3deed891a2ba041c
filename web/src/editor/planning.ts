/** The plan of a text as it is typed: asked for when typing pauses, never for two texts at once. */
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import type { ManifestFault } from "../api/types";
import { useGiven } from "../parts/context";
import { applyPlan, type Step } from "./applying";
import type { Form } from "./lines";
import { type Checked, check } from "./plan";

const PAUSE_MS = 350;
/** Nexus cannot be reached, or is busy. */
const AGAIN_MS = 3_000;
/** Letters; Nexus takes 256 KiB, and says so of what is a little more. */
export const MOST_LETTERS = 300_000;

export interface Subject {
  text: string;
  form: Form;
  namespace: string;
}

export interface Planning {
  /** Of the text as it is; nothing while it is looked at. */
  checked: Accessor<Checked | undefined>;
  faults: Accessor<readonly ManifestFault[]>;
  /** What came of applying; empty before. */
  steps: Accessor<readonly Step[]>;
  applying: Accessor<boolean>;
  apply(): Promise<boolean>;
  again(): void;
  /** Take a new text: what was applied is past. */
  forget(): void;
}

export function createPlanning(subject: Accessor<Subject | undefined>, extra?: (found: Checked) => Checked): Planning {
  const { fabric } = useGiven();
  const known = (namespace: string, name: string) =>
    !fabric.filled() ||
    [...fabric.all("agent").values()].some((one) => one.name === name && one.namespace === namespace);
  const [checked, setChecked] = createSignal<Checked>();
  const [faults, setFaults] = createSignal<readonly ManifestFault[]>([]);
  const [steps, setSteps] = createSignal<readonly Step[]>([]);
  const [applying, setApplying] = createSignal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running: AbortController | undefined;

  const later = (waitMs: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => void go(), waitMs);
  };
  const go = async () => {
    const now = subject();
    running?.abort();
    if (!now?.text.trim()) {
      setChecked();
      setFaults([]);
      return;
    }
    if (now.text.length > MOST_LETTERS) {
      setFaults([]);
      setChecked({
        kind: "failed",
        message: `The text has ${now.text.length} letters; Nexus takes files of 256 KiB at most. It is kept here, and not looked at`,
      });
      return;
    }
    const mine = new AbortController();
    running = mine;
    try {
      const answer = await check(now.text, now.form, now.namespace, known, mine.signal);
      if (mine.signal.aborted) return;
      const found = extra?.(answer) ?? answer;
      setChecked(found);
      if (found.kind !== "failed") setFaults(found.kind === "faults" ? found.faults : []);
      else later(AGAIN_MS);
      if (found.kind === "plan" && found.plan.outlookAfterS) later(found.plan.outlookAfterS * 1000);
    } catch (error) {
      if (!mine.signal.aborted) throw error;
    }
  };
  createEffect(
    on(
      () => JSON.stringify(subject() ?? null),
      () => {
        running?.abort();
        setChecked();
        later(PAUSE_MS);
      },
    ),
  );
  onCleanup(() => {
    clearTimeout(timer);
    running?.abort();
  });

  return {
    checked,
    faults,
    steps,
    applying,
    again: () => later(0),
    forget: () => setSteps([]),
    apply: async () => {
      const found = checked();
      if (found?.kind !== "plan" || applying()) return false;
      clearTimeout(timer);
      setApplying(true);
      try {
        return await applyPlan(found.plan, setSteps);
      } finally {
        setApplying(false);
        later(0);
      }
    },
  };
}
