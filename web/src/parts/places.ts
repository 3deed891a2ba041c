/** The pages that are always one press away, in the order in which they stand at the side. index.html names them too. */
interface Named {
  href: string;
  title: string;
  /** Where there is room for it. */
  more?: string;
}

const NAMED = [
  { href: "/map", title: "Map" },
  { href: "/overview", title: "Overview" },
  { href: "/nodes", title: "Nodes" },
  { href: "/agents", title: "Agents" },
  { href: "/instances", title: "Instances" },
  { href: "/events", title: "Events" },
  { href: "/join", title: "Join", more: " a machine" },
  { href: "/settings", title: "Settings" },
] as const satisfies readonly Named[];

export type Place = (typeof NAMED)[number]["href"];
export const PLACES: readonly (Named & { href: Place })[] = NAMED;

/** The place that leads to a page which has none of its own; undefined if several may have. */
export function belongsTo(path: string): Place | undefined {
  // Compose files become agents, and output is an agent's or what was chosen of anything.
  if (path === "/import" || path.startsWith("/logs/")) return "/agents";
  return PLACES.find(({ href }) => path.startsWith(`${href}/`))?.href;
}
