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

/** Labels for a condition: each is found by its key, by its value and as it is written. */
export function labelWords(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .flatMap(([key, value]) => [`${key}=${value}`, value])
    .join(" ");
}

/** What looks like a condition on a field that there is not, in words for a list that shows nothing; else empty. */
export function unknownFields({ words }: Filter, fields: readonly string[]): string {
  const found = words.flatMap((word) => {
    // Of addresses, which have colons too, none is meant.
    const [, name = "", value = ""] = /^-?([a-z][a-z0-9_./-]*):([^:]*)$/.exec(word) ?? [];
    return name ? [{ name, value }] : [];
  });
  const [first] = found;
  if (!first) return "";
  const names = [...new Set(found.map((one) => one.name))];
  const no = names.length === 1 ? "There is no field" : "There are no fields";
  const are = fields.length === 1 ? "The only field is" : "Fields are";
  const label = fields.includes("label") ? `; a label is written ${first.name}=${first.value || "value"}` : "";
  return `${no} ${listed(names)} here. ${are} ${listed(fields)}${label}.`;
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
