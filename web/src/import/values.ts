/** Secrets and configs whose values the files give, put away before the agents that read them. As the command line does. */
import { Refused, request } from "../api/client";
import type { ComposeImported, Secret } from "../api/types";

/** Says what was done. `own`: who may have the old value; where others have it too, it is left. Throws Refused. */
export async function provide(
  namespace: string,
  values: ComposeImported["values"],
  own: ReadonlySet<string>,
): Promise<string[]> {
  const told: string[] = [];
  for (const { kind, name, value } of values) {
    const path = `/v1/namespaces/${encodeURIComponent(namespace)}/${kind}s/${encodeURIComponent(name)}`;
    const others = (await users(path)).filter((one) => !own.has(one));
    if (others.length) {
      told.push(`The ${kind} ${namespace}/${name} is left as it is: ${others.join(", ")} has it`);
      continue;
    }
    const made = await request<{ change: string }>("PUT", path, { data: value });
    told.push(`${kind} ${namespace}/${name} ${made.change}`);
  }
  return told;
}

async function users(path: string): Promise<readonly string[]> {
  try {
    return (await request<Secret>("GET", path)).used_by;
  } catch (error) {
    if (error instanceof Refused && error.code === "not-found") return [];
    throw error;
  }
}
