/** What may be typed next, and what is under the pointer, by the schema. */
import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { entryAt, type Form, placeAt, type Step } from "./lines";
import { type Known, keysAt, knownAt, type Schema, schemaAt, valuesAt } from "./schema";

const WORD = /^[\w."'-]*$/;

export function completionSource(schema: () => Schema | undefined, form: () => Form) {
  return (context: CompletionContext): CompletionResult | null => {
    const root = schema();
    if (!root) return null;
    return complete(root, context.state.doc.toString(), context.pos, form(), context.explicit);
  };
}

export function complete(
  root: Schema,
  text: string,
  offset: number,
  form: Form,
  explicit: boolean,
): CompletionResult | null {
  const place = placeAt(text, offset, form);
  if (!place || !WORD.test(place.typed)) return null;
  if (!explicit && !place.typed && place.kind === "key") return null;
  if (place.kind === "value") {
    const values = valuesAt(root, [...place.above, place.key]);
    return values.length
      ? { from: offset - place.typed.length, options: values.map((one) => value(one, form)), validFor: WORD }
      : null;
  }
  const options = keysAt(root, place.above)
    .filter((known) => !place.beside.has(known.name))
    .map((known, index) => key(root, known, [...place.above, known.name], form, inHeader(text, offset, form), index));
  return options.length ? { from: offset - place.typed.length, options, validFor: WORD } : null;
}

/** A table's own line, where a key is but its name. */
function inHeader(text: string, offset: number, form: Form): boolean {
  return form === "toml" && /^\s*\[/.test(text.slice(text.lastIndexOf("\n", offset - 1) + 1, offset));
}

function value(text: string, form: Form): Completion {
  const bare = form === "yaml" || text === "true" || text === "false";
  return { label: text, apply: bare ? text : `"${text}"` };
}

function key(root: Schema, known: Known, path: readonly Step[], form: Form, within: boolean, rank: number): Completion {
  const holds = schemaAt(root, path);
  const fields = holds?.type === "object";
  const list = holds?.type === "array";
  let apply = form === "yaml" ? `${known.name}: ` : `${known.name} = `;
  if (form === "yaml" && (fields || list)) apply = `${known.name}:`;
  if (within) apply = known.name;
  return {
    label: known.name,
    apply,
    detail: known.required ? `${known.type}, required` : known.type,
    boost: known.required ? 50 : -Math.min(rank, 90) / 2,
    ...(info(known).length ? { info: info(known).join(" ") } : {}),
  };
}

function info(known: Known): string[] {
  const told: string[] = [];
  if (known.description) told.push(known.description);
  if (known.values.length) told.push(`One of ${known.values.join(", ")}.`);
  if (known.preset) told.push(`If left out: ${known.preset}.`);
  return told;
}

export interface Told {
  from: number;
  to: number;
  lines: readonly string[];
}

/** Of the key at a position. */
export function toldOf(root: Schema | undefined, text: string, offset: number, form: Form): Told | undefined {
  const entry = root && entryAt(text, offset, form);
  const known = root && entry && knownAt(root, entry.path);
  if (!entry || !known) return undefined;
  const start = text.split("\n").slice(0, entry.line).join("\n").length + (entry.line ? 1 : 0);
  const kind = known.required ? `${known.type}, required` : known.type;
  return { from: start + entry.from, to: start + entry.to, lines: [known.name, kind, ...info(known)] };
}
