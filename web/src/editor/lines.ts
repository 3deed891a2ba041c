/** What stands where in a text of agents: the path of keys at each line, as far as a text being typed has one. Pure. */

export type Form = "yaml" | "toml";
export type Step = string | number;

export interface Entry {
  /** From 0. */
  line: number;
  path: readonly Step[];
  /** Where the key is written on its line. */
  from: number;
  to: number;
}

/** Where something is being typed. */
export interface Place {
  /** Of what stands around it. */
  above: readonly Step[];
  /** Its own key, where it is a value; empty for a key. */
  key: Step | "";
  kind: "key" | "value";
  /** From there to the cursor it is typed. */
  from: number;
  typed: string;
  /** Keys that stand beside it already. */
  beside: ReadonlySet<string>;
}

interface Level {
  indent: number;
  path: readonly Step[];
  /** Elements so far, of a list. */
  count: number;
}

const YAML_KEY = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s#"'[\]{},&*!|>%@`-][^#]*?|-[^\s#:][^#:]*?))\s*:(?=\s|$)/;
const TOML_KEY = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*/;

/** Every key of a text. */
export function entriesOf(text: string, form: Form): Entry[] {
  return form === "yaml" ? yamlEntries(text.split("\n")).entries : tomlEntries(text.split("\n")).entries;
}

export function placeAt(text: string, offset: number, form: Form): Place | undefined {
  const before = text.slice(0, offset);
  const line = before.split("\n").length - 1;
  const column = offset - (before.lastIndexOf("\n") + 1);
  const lines = text.split("\n");
  return form === "yaml" ? yamlPlace(lines, line, column) : tomlPlace(lines, line, column);
}

/** The entry whose key is under this place. */
export function entryAt(text: string, offset: number, form: Form): Entry | undefined {
  const before = text.slice(0, offset);
  const line = before.split("\n").length - 1;
  const column = offset - (before.lastIndexOf("\n") + 1);
  return entriesOf(text, form).find((one) => one.line === line && one.from <= column && column <= one.to);
}

export function samePath(one: readonly Step[], other: readonly Step[]): boolean {
  return one.length === other.length && one.every((step, index) => step === other[index]);
}

// -- YAML -------------------------------------------------------------------------------------------------------------

interface YamlLine {
  entries: Entry[];
  /** Stack before the line is taken in, by line. */
  stacks: (readonly Level[] | undefined)[];
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

function yamlEntries(lines: readonly string[]): YamlLine {
  const entries: Entry[] = [];
  const stacks: (readonly Level[] | undefined)[] = [];
  let stack: Level[] = [];
  let within = -1;
  lines.forEach((line, number) => {
    const blank = !line.trim() || line.trim().startsWith("#");
    if (within >= 0 && !blank && indentOf(line) <= within) within = -1;
    if (within >= 0) {
      // Lines of a text, which have no keys.
      stacks[number] = undefined;
      return;
    }
    if (/^(---|\.\.\.)(\s|$)/.test(line)) {
      stack = [];
      stacks[number] = undefined;
      return;
    }
    stacks[number] = stack.map((one) => ({ ...one }));
    if (blank) return;
    const taken = take(line, indentOf(line), stack);
    stack = taken.stack;
    for (const found of taken.keys) entries.push({ ...found, line: number, path: found.path });
    if (/(^|[\s:-])[|>][+-]?\d?[+-]?\s*(#.*)?$/.test(line)) within = taken.indent;
  });
  return { entries, stacks };
}

function popped(stack: readonly Level[], indent: number, item: boolean): Level[] {
  const kept = [...stack];
  for (let top = kept.at(-1); top; top = kept.at(-1)) {
    const element = typeof top.path.at(-1) === "number";
    // Elements may stand as far left as the key that they belong to.
    if (top.indent < indent || (item && top.indent === indent && !element)) break;
    kept.pop();
  }
  return kept;
}

function take(line: string, start: number, before: readonly Level[]) {
  let stack: Level[] = [...before];
  const keys: { path: readonly Step[]; from: number; to: number }[] = [];
  let at = start;
  let indent = start;
  while (/^-(\s|$)/.test(line.slice(at))) {
    const holder = popped(stack, at, true);
    const owner = holder.at(-1);
    const above = owner?.path ?? [];
    const index = countOf(stack, above, at);
    stack = [...holder, { indent: at, path: [...above, index], count: 0 }];
    indent = at;
    at += 1 + (/^-(\s*)/.exec(line.slice(at))?.[1]?.length ?? 0);
  }
  const key = YAML_KEY.exec(line.slice(at));
  if (key) {
    stack = popped(stack, at, false);
    const name = key[1] ?? key[2] ?? key[3] ?? "";
    const path = [...(stack.at(-1)?.path ?? []), name];
    stack = [...stack, { indent: at, path, count: 0 }];
    keys.push({ path, from: at, to: at + key[0].trimEnd().length });
    indent = at;
  }
  return { stack, keys, indent };
}

/** The next element's index: one more than that of the element which stands there as far to the left. */
function countOf(stack: readonly Level[], above: readonly Step[], indent: number): number {
  const last = stack.find(
    (one) => one.indent === indent && typeof one.path.at(-1) === "number" && samePath(one.path.slice(0, -1), above),
  );
  const index = last?.path.at(-1);
  return typeof index === "number" ? index + 1 : 0;
}

function yamlPlace(lines: readonly string[], number: number, column: number): Place | undefined {
  const { entries, stacks } = yamlEntries(lines);
  const before = stacks[number];
  const line = lines[number] ?? "";
  const typed = line.slice(0, column);
  if (!before || /(^|\s)#/.test(typed.replace(/"[^"]*"|'[^']*'/g, ""))) return undefined;
  let at = typed.trim() ? indentOf(line) : column;
  let stack: Level[] = [...before];
  while (/^-\s/.test(typed.slice(at))) {
    const holder = popped(stack, at, true);
    const above = holder.at(-1)?.path ?? [];
    stack = [...holder, { indent: at, path: [...above, countOf(stack, above, at)], count: 0 }];
    at += 1 + (/^-(\s*)/.exec(typed.slice(at))?.[1]?.length ?? 0);
  }
  const key = YAML_KEY.exec(typed.slice(at));
  stack = popped(stack, at, false);
  const above = stack.at(-1)?.path ?? [];
  if (key) {
    const value = typed.slice(at + key[0].length);
    if (!/^\s/.test(value)) return undefined;
    const from = at + key[0].length + indentOf(value);
    const name = key[1] ?? key[2] ?? key[3] ?? "";
    return { above, key: name, kind: "value", from, typed: typed.slice(from), beside: new Set() };
  }
  const item = typeof above.at(-1) === "number" && at > (stack.at(-1)?.indent ?? 0);
  return {
    above,
    key: item ? (above.at(-1) ?? "") : "",
    kind: "key",
    from: at,
    typed: typed.slice(at),
    beside: besides(entries, above, number, documentOf(lines)),
  };
}

function documentOf(lines: readonly string[]): number[] {
  let document = 0;
  return lines.map((line) => {
    if (/^---(\s|$)/.test(line)) document += 1;
    return document;
  });
}

function besides(entries: readonly Entry[], above: readonly Step[], line: number, documents?: number[]): Set<string> {
  const here = documents?.[line];
  return new Set(
    entries
      .filter((one) => one.line !== line && (!documents || documents[one.line] === here))
      .filter((one) => samePath(one.path.slice(0, -1), above))
      .map((one) => String(one.path.at(-1))),
  );
}

// -- TOML -------------------------------------------------------------------------------------------------------------

function dotted(text: string): { keys: string[]; length: number } {
  const keys: string[] = [];
  let at = 0;
  for (;;) {
    const found = TOML_KEY.exec(text.slice(at));
    if (!found) break;
    keys.push(found[1] ?? found[2] ?? found[3] ?? "");
    at += found[0].length;
    if (text[at] !== ".") break;
    at += 1;
    at += indentOf(text.slice(at));
  }
  return { keys, length: text.slice(0, at).trimEnd().length };
}

interface TomlLines {
  entries: Entry[];
  /** Of the table that each line is in; nothing within a text or a list of several lines. */
  tables: (readonly Step[] | undefined)[];
}

function tomlEntries(lines: readonly string[]): TomlLines {
  const entries: Entry[] = [];
  const tables: (readonly Step[] | undefined)[] = [];
  const counts = new Map<string, number>();
  let table: readonly Step[] = [];
  let until = "";
  let open = 0;
  lines.forEach((line, number) => {
    if (until) {
      tables[number] = undefined;
      if (line.includes(until)) until = "";
      return;
    }
    tables[number] = open > 0 ? undefined : table;
    const start = indentOf(line);
    const header = /^(\[\[?)\s*/.exec(line.slice(start));
    if (open === 0 && header) {
      const from = start + header[0].length;
      const { keys, length } = dotted(line.slice(from));
      if (!keys.length) return;
      const path: Step[] = [];
      keys.forEach((key, index) => {
        path.push(key);
        const name = JSON.stringify(path);
        if (header[1] === "[[" && index === keys.length - 1) counts.set(name, (counts.get(name) ?? -1) + 1);
        const element = counts.get(name);
        if (element !== undefined) path.push(element);
      });
      table = path;
      const own = typeof path.at(-1) === "number" ? path.slice(0, -1) : path;
      entries.push({ line: number, path: own, from, to: from + length });
      return;
    }
    if (open === 0 && line.trim() && !line.trim().startsWith("#")) {
      const { keys, length } = dotted(line.slice(start));
      if (keys.length) entries.push({ line: number, path: [...table, ...keys], from: start, to: start + length });
      const inline = inlineAt(line, line.length);
      for (const one of inline.all) {
        entries.push({ line: number, path: [...table, ...keys, ...one.path], from: one.from, to: one.to });
      }
    }
    for (const quote of ['"""', "'''"]) {
      if (line.split(quote).length % 2 === 0) until = quote;
    }
    const bare = line.replace(/"(?:[^"\\]|\\.)*"|'[^']*'|#.*$/g, "");
    if (!until) open = Math.max(0, open + bare.split("[").length - bare.split("]").length);
  });
  return { entries, tables };
}

interface Inline {
  all: { path: readonly Step[]; from: number; to: number }[];
  /** Of tables that are open at the end. */
  open: readonly Step[] | undefined;
  /** Where the last key or value began. */
  from: number;
  key: string;
  value: boolean;
}

/** Tables on one line: `limits = { memory = "1GiB", ` and what is typed in them. */
function inlineAt(line: string, end: number): Inline {
  const all: Inline["all"] = [];
  const path: Step[][] = [];
  let at = line.indexOf("=") + 1;
  let from = at;
  let key = "";
  let value = true;
  if (at === 0) return { all, open: undefined, from: 0, key: "", value: false };
  while (at < end) {
    const rest = line.slice(at, end);
    const quoted = /^(?:"(?:[^"\\]|\\.)*"|'[^']*')/.exec(rest);
    if (rest.startsWith("{")) {
      path.push(key ? [...(path.at(-1) ?? []), key] : []);
      at += 1;
      from = at;
      key = "";
      value = false;
    } else if (rest.startsWith("}")) {
      path.pop();
      at += 1;
    } else if (path.length && rest.startsWith(",")) {
      at += 1;
      from = at;
      key = "";
      value = false;
    } else if (rest.startsWith("#")) {
      break;
    } else if (path.length && !value && TOML_KEY.test(rest)) {
      const { keys, length } = dotted(rest);
      if (!/^\s*=/.test(line.slice(at + length, end))) {
        at += length;
        continue;
      }
      all.push({ path: [...(path.at(-1) ?? []), ...keys], from: at, to: at + length });
      key = keys.at(-1) ?? "";
      at = line.indexOf("=", at + length) + 1;
      from = at;
      value = true;
    } else {
      at += quoted ? quoted[0].length : 1;
    }
  }
  return { all, open: path.at(-1), from, key, value };
}

function tomlPlace(lines: readonly string[], number: number, column: number): Place | undefined {
  const { entries, tables } = tomlEntries(lines);
  const table = tables[number];
  const line = lines[number] ?? "";
  const typed = line.slice(0, column);
  if (!table || /^\s*#/.test(typed)) return undefined;
  const header = /^\s*\[\[?\s*/.exec(typed);
  if (header) {
    const from = Math.max(header[0].length, typed.lastIndexOf(".") + 1);
    const above = dotted(typed.slice(header[0].length, from)).keys;
    return { above, key: "", kind: "key", from, typed: typed.slice(from), beside: new Set() };
  }
  const equals = typed.indexOf("=");
  if (equals < 0) {
    const start = indentOf(line);
    const from = Math.max(start, typed.lastIndexOf(".") + 1);
    const above = [...table, ...dotted(typed.slice(start, from)).keys];
    return {
      above,
      key: "",
      kind: "key",
      from: typed.trim() ? from : column,
      typed: typed.slice(from).trimStart(),
      beside: besides(entries, above, number),
    };
  }
  const { keys } = dotted(typed.slice(indentOf(line)));
  const inline = inlineAt(line, column);
  if (!inline.open) {
    const from = equals + 1 + indentOf(typed.slice(equals + 1));
    const above = [...table, ...keys.slice(0, -1)];
    return { above, key: keys.at(-1) ?? "", kind: "value", from, typed: typed.slice(from), beside: new Set() };
  }
  const above = [...table, ...keys, ...inline.open];
  const from = inline.from + indentOf(typed.slice(inline.from));
  return {
    above,
    key: inline.value ? inline.key : "",
    kind: inline.value ? "value" : "key",
    from,
    typed: typed.slice(from),
    beside: new Set(
      inline.all
        .filter((one) => samePath(one.path.slice(0, -1), inline.open ?? []))
        .map((one) => String(one.path.at(-1))),
    ),
  };
}
