/** CodeMirror as the panel has it: two languages, completion and hover from the schema, faults at their lines. */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching,
  HighlightStyle,
  indentOnInput,
  indentUnit,
  type LanguageSupport,
  StreamLanguage,
  syntaxHighlighting,
} from "@codemirror/language";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  hoverTooltip,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { ManifestFault } from "../api/types";
import { visible } from "../words/format";
import { completionSource, toldOf } from "./completing";
import type { Form } from "./lines";
import type { Schema } from "./schema";

interface Given {
  root: ShadowRoot;
  label: string;
  text: string;
  form: Form;
  schema(): Schema | undefined;
  onText(text: string): void;
  onApply(): void;
}

export interface Editor {
  replace(text: string): void;
  goToLine(line: number): void;
  focus(): void;
  setForm(form: Form): void;
  setFaults(faults: readonly ManifestFault[]): void;
  end(): void;
}

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.atom], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.literal], color: "var(--busy)" },
  { tag: [tags.heading, tags.keyword, tags.meta, tags.labelName], color: "var(--unknown)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--text-faint)" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: "var(--text-soft)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  ".cm-gutters": { color: "var(--text-faint)", backgroundColor: "var(--surface)", border: "0" },
  ".cm-activeLine": { backgroundColor: "color-mix(in oklab, var(--accent) 5%, transparent)" },
  ".cm-activeLineGutter": { color: "var(--text)", backgroundColor: "transparent" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in oklab, var(--accent) 24%, transparent)",
  },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in oklab, var(--wait) 22%, transparent)" },
  ".cm-matchingBracket": { backgroundColor: "color-mix(in oklab, var(--accent) 22%, transparent)" },
  ".cm-tooltip": {
    maxWidth: "420px",
    color: "var(--text)",
    border: "1px solid var(--line-strong)",
    borderRadius: "6px",
    backgroundColor: "var(--surface)",
    boxShadow: "0 8px 24px rgb(0 0 0 / 22%)",
    font: "400 12.5px/1.45 var(--font)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { maxHeight: "260px", fontFamily: "var(--mono)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { color: "var(--on-accent)", backgroundColor: "var(--accent)" },
  ".cm-completionDetail": { fontStyle: "normal", opacity: "0.85", marginLeft: "1em" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-completionInfo": { padding: "7px 10px" },
  ".told": { display: "grid", gap: "2px", padding: "7px 10px" },
  ".told span": { color: "var(--text-soft)" },
  ".cm-diagnostic": { padding: "6px 10px", borderLeft: "3px solid var(--bad)", whiteSpace: "pre-line" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--bad) 1px",
    textUnderlineOffset: "3px",
  },
  ".cm-lint-marker": { width: "0.9em", height: "0.9em" },
  ".cm-panels": { color: "var(--text)", backgroundColor: "var(--raised)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-textfield": { color: "var(--text)", backgroundColor: "var(--surface)", border: "1px solid var(--line-strong)" },
  ".cm-button": {
    color: "var(--text)",
    backgroundImage: "none",
    backgroundColor: "var(--surface)",
    border: "1px solid var(--line-strong)",
  },
});

function language(form: Form): LanguageSupport | Extension {
  return form === "yaml" ? yaml() : StreamLanguage.define(toml);
}

/**
 * What is typed over a selection is put in place here. Left to the browser, it would keep the look of what it replaces
 * by a style in the text, which the policy does not allow.
 */
const typedOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { main } = view.state.selection;
    if (event.inputType !== "insertText" || !event.data || main.empty || view.composing) return false;
    const text = event.data;
    const insert = () =>
      view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    const handlers = view.state.facet(EditorView.inputHandler);
    if (!handlers.some((handle) => handle(view, main.from, main.to, text, insert))) view.dispatch(insert());
    event.preventDefault();
    return true;
  },
});

export function makeEditor(given: Given): Editor {
  const spoken = new Compartment();
  let form = given.form;
  const shape = () => form;
  const view = new EditorView({
    parent: given.root,
    root: given.root,
    state: EditorState.create({
      doc: given.text,
      extensions: [
        lineNumbers(),
        lintGutter(),
        history(),
        typedOver,
        drawSelection(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        indentOnInput(),
        indentUnit.of("  "),
        bracketMatching(),
        closeBrackets(),
        highlightSelectionMatches(),
        search(),
        syntaxHighlighting(colours),
        spoken.of(language(form)),
        autocompletion({ override: [completionSource(given.schema, shape)], icons: false }),
        hoverTooltip((shown, position) => {
          const told = toldOf(given.schema(), shown.state.doc.toString(), position, form);
          if (!told) return null;
          return { pos: told.from, end: told.to, above: true, create: () => ({ dom: lines(told.lines) }) };
        }),
        keymap.of([
          {
            key: "Mod-Enter",
            run: () => {
              given.onApply();
              return true;
            },
          },
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...completionKeymap,
          ...lintKeymap,
        ]),
        look,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({
          "aria-label": given.label,
          spellcheck: "false",
          autocapitalize: "off",
          autocorrect: "off",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) given.onText(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    replace(text) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text }, selection: { anchor: 0 } });
    },
    goToLine(line) {
      const at = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)));
      view.dispatch({ selection: { anchor: at.from + (/^\s*/.exec(at.text)?.[0].length ?? 0) }, scrollIntoView: true });
      view.focus();
    },
    focus: () => view.focus(),
    setForm(next) {
      form = next;
      view.dispatch({ effects: spoken.reconfigure(language(next)) });
    },
    setFaults(faults) {
      const found = faults.map((fault): Diagnostic => {
        const at = view.state.doc.line(Math.max(1, Math.min(fault.line || 1, view.state.doc.lines)));
        const start = /^\s*(- )*/.exec(at.text)?.[0].length ?? 0;
        return { from: Math.min(at.from + start, at.to), to: at.to, severity: "error", message: faultText(fault) };
      });
      view.dispatch(setDiagnostics(view.state, found));
    },
    end: () => view.destroy(),
  };
}

export function faultText(fault: ManifestFault): string {
  const what = fault.field ? `${visible(fault.field)}: ${visible(fault.message)}` : visible(fault.message);
  return fault.hint ? `${what}\n${visible(fault.hint)}` : what;
}

function lines(told: readonly string[]): HTMLElement {
  const box = document.createElement("div");
  box.className = "told";
  told.forEach((text, index) => {
    const line = document.createElement(index ? "span" : "strong");
    line.textContent = text;
    box.append(line);
  });
  return box;
}
