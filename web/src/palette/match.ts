/** Which of many names are meant by what is typed. Pure; fuzzy matching is uFuzzy's. */
import uFuzzy from "@leeoniya/ufuzzy";
import { nameOf, type Target } from "../actions/target";

const matcher = new uFuzzy({ intraMode: 1 });
/** For what that finds nothing of: letters of a name in their order, with any others in between. */
const loose = new uFuzzy({ intraIns: Number.POSITIVE_INFINITY, intraChars: "[^ ]" });

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
  const ranked = ranking(matcher, names, needle);
  return [...new Set([...first, ...(first.length || ranked.length ? ranked : ranking(loose, names, needle))])].slice(
    0,
    most,
  );
}

function ranking(by: uFuzzy, names: readonly string[], needle: string): readonly number[] {
  const [found, info, order] = by.search(names as string[], needle, 1, 2_000);
  return info && order ? order.map((place) => info.idx[place] ?? 0) : (found ?? []);
}
