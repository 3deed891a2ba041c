/** Keys that are pressed while the palette is still being fetched: they are meant for its field. */

/** More are not kept: nobody types so far ahead. */
const MOST = 200;
const DOING = new Set(["Backspace", "Enter", "ArrowDown", "ArrowUp"]);
let kept: string[] = [];

/** True if it was one for the field. */
export function keepAhead(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey">): boolean {
  const { key, ctrlKey, metaKey, altKey } = event;
  const typed = [...key].length === 1 && !ctrlKey && !metaKey && !altKey;
  if (!typed && !DOING.has(key)) return false;
  if (kept.length < MOST) kept.push(key);
  return true;
}

export function forgetAhead(): void {
  kept = [];
}

/** The text they came to, and what else was pressed, in order; they are then forgotten. */
export function takeAhead(): { text: string; others: readonly string[] } {
  const letters: string[] = [];
  const others: string[] = [];
  for (const key of kept) {
    if (key === "Backspace") letters.pop();
    else if (DOING.has(key)) others.push(key);
    else letters.push(key);
  }
  kept = [];
  return { text: letters.join(""), others };
}
