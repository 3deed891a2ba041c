/** Secrets and configs whose values the files give, put away before the agents that read them. As the command line does. */
import { shellWord } from "../actions/target";
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

type Need = ComposeImported["create"][number];

/** The command that makes it where the agents go: without a namespace it would be made in the default one. */
export function commandIn(namespace: string, { kind, name, command }: Need): string {
  if (namespace === "default" || (kind !== "secret" && kind !== "config")) return command;
  return command.replace(` ${kind} set ${name}`, ` ${kind} set ${shellWord(`${namespace}/${name}`)}`);
}

/** Secrets and configs that neither the files give nor the fabric has: `secret shop/pw`. Throws Refused. */
export async function missingIn(
  namespace: string,
  { create, values }: Pick<ComposeImported, "create" | "values">,
  signal: AbortSignal,
): Promise<string[]> {
  const wanted = create.filter(
    (one) =>
      (one.kind === "secret" || one.kind === "config") &&
      !values.some((value) => value.kind === one.kind && value.name === one.name),
  );
  const found = await Promise.all(
    wanted.map(async ({ kind, name }) => {
      const path = `/v1/namespaces/${encodeURIComponent(namespace)}/${kind}s/${encodeURIComponent(name)}`;
      try {
        await request("GET", path, undefined, signal);
        return "";
      } catch (error) {
        if (error instanceof Refused && error.code === "not-found") return `${kind} ${namespace}/${name}`;
        throw error;
      }
    }),
  );
  return found.filter(Boolean);
}
