/**
 * The editor itself: CodeMirror, in a shadow tree of its own. There its styles are sheets made by script, which the
 * policy allows; in the page they would be inline styles, which it does not.
 */
import { createEffect, on, onCleanup, onMount } from "solid-js";
import type { ManifestFault } from "../api/types";
import type { Form } from "./lines";
import { type Editor, makeEditor } from "./mirror";
import type { Schema } from "./schema";

export interface Handle {
  /** Put another text in place of all: one step of undo. */
  replace(text: string): void;
  goToLine(line: number): void;
  focus(): void;
}

interface Props {
  label: string;
  text: string;
  form: Form;
  schema: Schema | undefined;
  faults: readonly ManifestFault[];
  onText(text: string): void;
  /** Control and Enter. */
  onApply(): void;
  handle(handle: Handle): void;
}

export function CodeEditor(props: Props) {
  let host: HTMLDivElement | undefined;
  let editor: Editor | undefined;
  onMount(() => {
    if (!host) return;
    const root = host.attachShadow({ mode: "open" });
    editor = makeEditor({
      root,
      label: props.label,
      text: props.text,
      form: props.form,
      schema: () => props.schema,
      onText: (text) => props.onText(text),
      onApply: () => props.onApply(),
    });
    props.handle(editor);
  });
  createEffect(
    on(
      () => props.form,
      (form) => editor?.setForm(form),
      { defer: true },
    ),
  );
  createEffect(() => editor?.setFaults(props.faults));
  onCleanup(() => editor?.end());
  return <div ref={host} class="code-editor" />;
}
