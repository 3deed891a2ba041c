/** Which of many names are meant by what is typed. Pure; fuzzy matching is uFuzzy's. */
import uFuzzy from "@leeoniya/ufuzzy";
import { nameOf, type Target } from "../actions/target";

const matcher = new uFuzzy({ intraMode: 1 });

export interface Haystack {
  names: readonly string[];
  targets: readonly Target[];
}

export function haystackOf(targets: readonly Target[]): Haystack {
  return { targets, names: targets.map((one) => nameOf(one)) };
}

/** Indexes of the best matches, the best first. */
export function best(names: readonly string[], needle: string, most: number): number[] {
  // What begins as it is typed is meant before anything that is only like it.
  const first: number[] = [];
  const begun = needle.toLowerCase();
  for (let index = 0; index < names.length && first.length < most; index += 1) {
    if (names[index]?.toLowerCase().startsWith(begun)) first.push(index);
  }
  if (first.length >= most) return first;
  const [found, info, order] = matcher.search(names as string[], needle, 1, 2_000);
  const ranked = info && order ? order.map((place) => info.idx[place] ?? 0) : (found ?? []);
  return [...new Set([...first, ...ranked])].slice(0, most);
}
