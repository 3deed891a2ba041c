/** Sets of names that this browser keeps: favourites, columns that are hidden. */
import { type Accessor, createSignal } from "solid-js";

/** More are not kept: the oldest go. */
const MOST = 500;

export interface Kept {
  all: Accessor<ReadonlySet<string>>;
  toggle(name: string): void;
}

const made = new Map<string, Kept>();

/** One set for each key, however many pages ask for it. */
export function kept(key: string): Kept {
  let found = made.get(key);
  if (!found) {
    found = make(`omnitide.${key}`);
    made.set(key, found);
  }
  return found;
}

function make(key: string): Kept {
  const [all, setAll] = createSignal<ReadonlySet<string>>(new Set(read(key)));
  return {
    all,
    toggle: (name) => {
      const next = new Set(all());
      if (!next.delete(name)) next.add(name);
      const list = [...next].slice(-MOST);
      setAll(new Set(list));
      try {
        localStorage.setItem(key, JSON.stringify(list));
      } catch {
        // It then lasts as long as this page.
      }
    },
  };
}

function read(key: string): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}
