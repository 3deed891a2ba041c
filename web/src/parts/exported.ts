/** Rows as a file: JSON as the API has them, CSV of what is one value. */

type Row = Record<string, unknown>;

const SINGLE = new Set(["string", "number", "boolean"]);

function cell(value: unknown): string {
  let text = value === null || value === undefined ? "" : String(value);
  // A spreadsheet takes these for a formula; a number may begin with a minus.
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function toCsv(rows: readonly object[]): string {
  const names: string[] = [];
  const known = new Set<string>();
  for (const row of rows) {
    for (const [name, value] of Object.entries(row as Row)) {
      if (known.has(name) || !SINGLE.has(typeof value)) continue;
      known.add(name);
      names.push(name);
    }
  }
  const lines = rows.map((row) =>
    names.map((name) => cell(SINGLE.has(typeof (row as Row)[name]) ? (row as Row)[name] : "")).join(","),
  );
  return `${[names.join(","), ...lines].join("\r\n")}\r\n`;
}

export function toJson(rows: readonly object[]): string {
  return `${JSON.stringify(rows, null, 2)}\n`;
}

/** Hand a file to whoever looks at the page. */
export function save(name: string, type: string, text: string): void {
  saveBlob(name, new Blob([text], { type }));
}

export function saveBlob(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
