/** The map in words, for who hears it and for what the pointer is at. */
import { count, plural } from "../../words/format";
import { andEnded, hasEnded, instanceState, instancesWords } from "../../words/states";
import type { Building, City } from "./city";
import { NOWHERE } from "./layout";
import type { Found } from "./pick";
import type { Refusals } from "./refusals";

export function summaryOf(city: City): string {
  let dark = 0;
  for (const building of city.buildings.values()) if (building.dark) dark += 1;
  const { standings } = city.tally;
  const failing = standings.get("bad") ?? 0;
  let ended = 0;
  for (const unit of city.units.values()) if (hasEnded(unit.instance)) ended += 1;
  const over = (["failed", "lost"] as const)
    .filter((standing) => standings.get(standing))
    .map((standing) => `${count(standings.get(standing) ?? 0)} ${standing}`);
  return [
    `${plural(city.buildings.size, "node")} in ${plural(city.layout.districts.length, "district")} by ${city.layout.by}`,
    `${plural(city.units.size - ended, "instance")}${andEnded(ended)}${over.length ? ` (${over.join(", ")})` : ""}`,
    dark ? `${count(dark)} dark` : "none dark",
    failing ? `${plural(failing, "instance")} failing` : "none failing",
    city.yard.size ? `${plural(city.yard.size, "instance")} without a node` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

export function tellNode(city: City, building: Building): string {
  const district = city.layout.districts[building.lot.district]?.name || "no district";
  const more = building.state.more ? `, ${building.state.more}` : "";
  return `${building.node.name}, ${district}: ${building.state.text}${more}, ${holds(city, building)}.`;
}

function holds(city: City, { slots }: Building): string {
  return instancesWords([...slots.ids()].flatMap((id) => city.units.get(id)?.instance ?? []));
}

export function tipOf(
  city: City,
  found: Found | undefined,
  refusals: Refusals | undefined,
): { title: string; more: string } | undefined {
  if (found?.kind === "nexus") return { title: "Nexus", more: `${plural(city.yard.size, "instance")} without a node` };
  if (found?.kind === "instance") {
    const unit = city.units.get(found.id);
    if (!unit) return undefined;
    const { text, more } = instanceState(unit.instance);
    return { title: unit.instance.name, more: [text, more, unit.driver].filter(Boolean).join(" · ") };
  }
  if (found?.kind === "district") {
    const district = city.layout.districts[found.index];
    if (!district) return undefined;
    const title = district.name === NOWHERE ? `no ${city.layout.by}` : district.name;
    return { title, more: plural(district.lots.filter((id) => id !== undefined).length, "node") };
  }
  const building = found?.kind === "node" ? city.buildings.get(found.id) : undefined;
  if (!building) return undefined;
  const reasons = refusals?.nodes.get(building.node.id);
  const state = [building.state.text, building.state.more].filter(Boolean).join(", ");
  const more = reasons?.length ? reasons.join("; ") : `${state} · ${holds(city, building)}`;
  return { title: building.node.name, more };
}
