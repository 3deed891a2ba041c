/** What is typed into a filter: words that must all be there, and `node:alpha`, `-driver:docker` for one field. */

export interface Filter {
  words: readonly string[];
  conditions: readonly { field: string; value: string; not: boolean }[];
}

/** `fields`: what a condition may name; anything else with a colon is a word, as names have colons too. */
export function parseFilter(text: string, fields: readonly string[]): Filter {
  const words: string[] = [];
  const conditions: { field: string; value: string; not: boolean }[] = [];
  for (const word of text.toLowerCase().split(/\s+/).filter(Boolean)) {
    const found = /^(-?)([a-z]+):(.*)$/.exec(word);
    const field = found?.[2] ?? "";
    if (found && fields.includes(field)) conditions.push({ field, value: found[3] ?? "", not: found[1] === "-" });
    else words.push(word);
  }
  return { words, conditions };
}

export function matches<T>(
  filter: Filter,
  row: T,
  /** In small letters. */
  text: () => string,
  fields: Readonly<Record<string, (row: T) => string>>,
): boolean {
  for (const { field, value, not } of filter.conditions) {
    const has = (fields[field]?.(row) ?? "").toLowerCase();
    // A condition whose value is not typed yet leaves everything.
    if (value && has.split(" ").some((one) => one === value || one.startsWith(value)) === not) return false;
  }
  if (!filter.words.length) return true;
  const all = text();
  return filter.words.every((word) => all.includes(word));
}
