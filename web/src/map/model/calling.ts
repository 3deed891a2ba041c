/** Which of all that has a name is meant by what is typed to find it on the map. Pure. */
import { nameOf } from "../../actions/target";
import type { Agent, Instance, Node } from "../../api/types";

export interface Hit {
  kind: "node" | "instance" | "agent";
  id: string;
  /** As it is called here, its namespace before it where that is not the default one. */
  name: string;
}

export interface Named {
  node: ReadonlyMap<string, Node>;
  instance: ReadonlyMap<string, Instance>;
  agent: ReadonlyMap<string, Agent>;
}

/** The name itself, one that begins so, one that has it within. */
enum Rank {
  Whole,
  Begun,
  Within,
}

/** An agent comes before its replicas, whose names begin with its own. */
const BY_KIND = { node: 0, agent: 0.25, instance: 0.5 };

/** At most `most` whose name has `text` in it, whatever the case; what is called exactly so comes first. */
export function called(text: string, all: Named, most: number): Hit[] {
  const asked = text.trim().toLowerCase();
  if (!asked) return [];
  const hits: (Hit & { rank: number })[] = [];
  const look = (kind: Hit["kind"], id: string, bare: string, name: string) => {
    const rank = Math.min(rankOf(bare.toLowerCase(), asked), rankOf(name.toLowerCase(), asked));
    if (rank < Number.POSITIVE_INFINITY) hits.push({ kind, id, name, rank: rank + BY_KIND[kind] });
  };
  for (const [id, one] of all.node) look("node", id, one.name, one.name);
  for (const [id, one] of all.instance) look("instance", id, one.name, one.name);
  for (const [id, one] of all.agent) look("agent", id, one.name, nameOf({ kind: "agent", object: one }));
  return hits
    .sort((one, other) => one.rank - other.rank || one.name.localeCompare(other.name, "en", { numeric: true }))
    .slice(0, most)
    .map(({ kind, id, name }) => ({ kind, id, name }));
}

function rankOf(name: string, asked: string): number {
  const at = name.indexOf(asked);
  if (at < 0) return Number.POSITIVE_INFINITY;
  if (name.length === asked.length) return Rank.Whole;
  return at ? Rank.Within : Rank.Begun;
}
