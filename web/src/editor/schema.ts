/** Nexus's own schema of an agent, asked by path: which keys may stand somewhere, what they are, which values. Pure. */
import type { Step } from "./lines";

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  anyOf?: Schema[];
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  propertyNames?: Schema;
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  required?: string[];
  minimum?: number;
  maximum?: number;
}

export interface Known {
  name: string;
  /** `text`, `number`, `fields`, ... */
  type: string;
  description: string;
  /** As it is written; empty for none, and for what is empty anyway. */
  preset: string;
  required: boolean;
  values: readonly string[];
}

/** Without references, and without the member that only says that it may be left out. */
function resolved(root: Schema, schema: Schema | undefined, depth = 0): Schema | undefined {
  if (!schema || depth > 20) return undefined;
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    const found = resolved(root, root.$defs?.[name], depth + 1);
    return found && { ...found, ...(schema.default === undefined ? {} : { default: schema.default }) };
  }
  const [first, second] = (schema.anyOf ?? []).filter((one) => one.type !== "null");
  if (!first) return schema;
  const one = resolved(root, first, depth + 1);
  const other = second && resolved(root, second, depth + 1);
  // A number or fields: the fields are what can be asked for.
  const fields = [one, other].find((member) => member?.properties) ?? one;
  return fields && { ...fields, default: schema.default };
}

export function schemaAt(root: Schema, path: readonly Step[]): Schema | undefined {
  let now = resolved(root, root);
  for (const step of path) {
    if (!now) return undefined;
    const below: Schema | undefined =
      typeof step === "number"
        ? now.items
        : (now.properties?.[step] ??
          (typeof now.additionalProperties === "object" ? now.additionalProperties : undefined));
    now = resolved(root, below);
  }
  return now;
}

/** What may stand among these fields, the required ones first. */
export function keysAt(root: Schema, path: readonly Step[]): Known[] {
  const schema = schemaAt(root, path);
  return Object.keys(schema?.properties ?? {})
    .map((name) => known(root, name, schema?.properties?.[name], schema?.required?.includes(name) ?? false))
    .sort((one, other) => Number(other.required) - Number(one.required) || one.name.localeCompare(other.name));
}

export function knownAt(root: Schema, path: readonly Step[]): Known | undefined {
  const name = path.at(-1);
  if (name === undefined) return undefined;
  const above = schemaAt(root, path.slice(0, -1));
  const own = schemaAt(root, path);
  if (!own) return undefined;
  const required = typeof name === "string" && (above?.required?.includes(name) ?? false);
  return known(root, String(name), own, required);
}

export function valuesAt(root: Schema, path: readonly Step[]): readonly string[] {
  const schema = schemaAt(root, path);
  return schema ? valuesOf(schema) : [];
}

function known(root: Schema, name: string, schema: Schema | undefined, required: boolean): Known {
  const own = resolved(root, schema) ?? {};
  return {
    name,
    type: typeOf(own),
    description: own.description ?? "",
    preset: presetOf(own.default),
    required,
    values: valuesOf(own),
  };
}

function valuesOf(schema: Schema): readonly string[] {
  if (schema.enum) return schema.enum.filter((one) => one !== null).map(String);
  return schema.type === "boolean" ? ["true", "false"] : [];
}

const TYPES: Record<string, string> = {
  string: "text",
  integer: "whole number",
  number: "number",
  boolean: "true or false",
  array: "list",
  object: "fields",
};

function typeOf(schema: Schema): string {
  if (schema.enum) return "one of";
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type ?? ""]).map((one) => TYPES[one] ?? "");
  return types.filter(Boolean).join(" or ");
}

function presetOf(value: unknown): string {
  if (value === undefined || value === null || value === "") return "";
  if (typeof value === "object" && !Object.keys(value).length) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
