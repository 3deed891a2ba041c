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

/** Indexes of the best matches, the best first; those that are equally good as people count. */
export function best(names: readonly string[], needle: string, most: number): number[] {
  // What begins as it is typed is meant before anything that is only like it.
  const begun = needle.toLowerCase();
  const first = foremost(
    names.flatMap((name, index) => (name.toLowerCase().startsWith(begun) ? [index] : [])),
    names,
    most,
  );
  if (first.length >= most) return first;
  const ranked = ranking(matcher, names, needle, most);
  const others = first.length || ranked.length ? ranked : ranking(loose, names, needle, most);
  return [...new Set([...first, ...others])].slice(0, most);
}

/** The same of things that have several names each, the first of which is its title: indexes of the things. */
export function bestOf(named: readonly (readonly string[])[], needle: string, most: number): number[] {
  const owners = named.flatMap((names, index) => names.map(() => index));
  const found = [...new Set(best(named.flat(), needle, owners.length).map((place) => owners[place] ?? 0))];
  const begun = needle.toLowerCase();
  const byTitle = (index: number) => named[index]?.[0]?.toLowerCase().startsWith(begun) ?? false;
  return [...found.filter(byTitle), ...found.filter((index) => !byTitle(index))].slice(0, most);
}

/** More are not ranked, but have the order of their names. */
const MOST_RANKED = 2_000;

function ranking(by: uFuzzy, names: readonly string[], needle: string, most: number): readonly number[] {
  const [found, info, order] = by.search(names as string[], needle, 1, MOST_RANKED);
  if (info && order) return order.map((place) => info.idx[place] ?? 0);
  // Those that begin as it is typed may be all of them, and are left out again.
  return foremost(found ?? [], names, 2 * most);
}

const { compare } = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** The first `most` of these by name; in one pass, as there may be a hundred thousand. */
function foremost(indexes: readonly number[], names: readonly string[], most: number): number[] {
  const kept: number[] = [];
  const isBefore = (one: number, other: number | undefined) =>
    other !== undefined && compare(names[one] ?? "", names[other] ?? "") < 0;
  for (const index of indexes) {
    if (kept.length >= most && !isBefore(index, kept[most - 1])) continue;
    let low = 0;
    let high = kept.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(index, kept[middle])) high = middle;
      else low = middle + 1;
    }
    kept.splice(low, 0, index);
    if (kept.length > most) kept.pop();
  }
  return kept;
}
