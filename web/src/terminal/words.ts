/** A command as a person types it, in words as a shell would see them; nothing in it is expanded. Pure. */

/** The best shell that is there. */
export const SHELL: readonly string[] = ["sh", "-c", 'exec "$(command -v bash || command -v sh)"'];

export class Unclosed extends Error {}

/** Throws Unclosed. */
export function words(text: string): string[] {
  const found: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? "";
    if (quote) {
      if (character === quote) quote = "";
      else if (character === "\\" && quote === '"' && '"\\$`'.includes(text[at + 1] ?? "-")) {
        at += 1;
        word += text[at] ?? "";
      } else word += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (character === "\\" && at + 1 < text.length) {
      at += 1;
      word = (word ?? "") + (text[at] ?? "");
    } else if (/\s/.test(character)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else word = (word ?? "") + character;
  }
  if (quote) throw new Unclosed(`a ${quote} is not closed`);
  if (word !== undefined) found.push(word);
  return found;
}
