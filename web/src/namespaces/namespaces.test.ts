import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { Namespace } from "../api/types";
import { holds, NAME_PATTERN } from "./namespaces";

const one = (name: string, agents: number, jobs: number) => ({ name, agents, jobs }) as Namespace;

it("a name is one that Nexus takes", () => {
  const told = JSON.parse(readFileSync(new URL("../api/openapi.json", import.meta.url), "utf8"));
  const own = new RegExp(`^(?:${NAME_PATTERN})$`, "v");
  const theirs = new RegExp(
    told.paths["/v1/namespaces"].post.requestBody.content["application/json"].schema.properties.name.pattern,
  );
  for (const name of ["a", "team", "a-1", "9", "-a", "a-", "A", "a_b", "", "a".repeat(40), "a".repeat(41)]) {
    expect(own.test(name), name).toBe(theirs.test(name));
  }
});

it("what one holds is told, and the first one stays", () => {
  expect(holds(one("team", 0, 0))).toBe("");
  expect(holds(one("team", 2, 1))).toBe("2 agents, 1 job");
  expect(holds(one("default", 0, 0))).toBe("every fabric has it");
});
