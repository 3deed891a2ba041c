import { describe, expect, it } from "vitest";
import { BLOCK, END, type Entry, headOf, NoTar, padding, TarReader } from "./tar";

const bytes = (text: string) => new TextEncoder().encode(text);

function archive(...files: [string, string][]): Uint8Array<ArrayBuffer> {
  const parts = files.flatMap(([name, text]) => {
    const body = bytes(text);
    return [headOf(name, body.length, 1_700_000_000_000), body, new Uint8Array(padding(body.length))];
  });
  const all = [...parts, END];
  const whole = new Uint8Array(all.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of all) {
    whole.set(one, at);
    at += one.length;
  }
  return whole;
}

function read(whole: Uint8Array<ArrayBuffer>, step: number): { entries: Entry[]; texts: string[]; done: boolean } {
  const entries: Entry[] = [];
  const texts: string[] = [];
  const reader = new TarReader({
    entry: (entry) => {
      entries.push(entry);
      texts.push("");
      return true;
    },
    content: (piece) => {
      texts[texts.length - 1] += new TextDecoder().decode(piece);
    },
  });
  for (let at = 0; at < whole.length; at += step) reader.take(whole.subarray(at, at + step));
  return { entries, texts, done: reader.done };
}

describe("a tar stream", () => {
  it("is read as it was made, in whatever pieces it comes", () => {
    const long = `${"ü".repeat(90)}.txt`;
    const whole = archive(["a.txt", "hello"], [long, "x".repeat(BLOCK)], ["empty", ""]);
    for (const step of [1, 7, BLOCK, 1000, whole.length]) {
      const found = read(whole, step);
      expect(found.entries.map((one) => one.name)).toEqual(["a.txt", long, "empty"]);
      expect(found.entries.map((one) => one.size)).toEqual([5, BLOCK, 0]);
      expect(found.texts).toEqual(["hello", "x".repeat(BLOCK), ""]);
      expect(found.done).toBe(true);
    }
    expect(read(whole, 100).entries[0]).toMatchObject({ kind: "file", mode: 0o644, changedMs: 1_700_000_000_000 });
  });

  it("holds sizes that octal digits have no room for", () => {
    const size = 9 * 2 ** 30;
    const entries: Entry[] = [];
    new TarReader({
      entry: (entry) => {
        entries.push(entry);
        return false;
      },
    }).take(headOf("large", size, 0));
    expect(entries[0]).toMatchObject({ name: "large", size });
  });

  it("that is none is refused, whatever it holds", () => {
    const reader = () => new TarReader({ entry: () => true });
    expect(() => reader().take(bytes("x".repeat(BLOCK)))).toThrow(NoTar);
    const broken = headOf("a", 1, 0);
    broken[0] = 66;
    expect(() => reader().take(broken)).toThrow(NoTar);
  });

  it("is read no further than is wanted", () => {
    let seen = 0;
    const reader = new TarReader({
      entry: () => {
        seen += 1;
        return seen < 2;
      },
    });
    reader.take(archive(["a", "1"], ["b", "2"], ["c", "3"]));
    expect(seen).toBe(2);
    expect(reader.done).toBe(true);
  });
});
