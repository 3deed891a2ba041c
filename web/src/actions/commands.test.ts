import { describe, expect, it } from "vitest";
import type { Agent, Instance, Node } from "../api/types";
import type { Input } from "./action";
import { ACTIONS } from "./registry";
import { nameOf, type Target } from "./target";

const TARGETS: Record<Target["kind"], readonly Target[]> = {
  agent: [
    { kind: "agent", object: { id: "a1", name: "web", namespace: "default", version: 3, replicas: 2 } as Agent },
    { kind: "agent", object: { id: "a2", name: "web", namespace: "shop", version: 3, replicas: 2 } as Agent },
  ],
  instance: [{ kind: "instance", object: { id: "i1", name: "web-1.1", namespace: "shop", node: "alpha" } as Instance }],
  node: [{ kind: "node", object: { id: "n1", name: "alpha" } as Node }],
};
const INPUTS: readonly Input[] = [
  { replicas: 0, version: 0, node: "", atOnce: 0 },
  { replicas: 5, version: 2, node: "rack 7's", atOnce: 2 },
];

describe("the commands that are shown to copy", () => {
  it("are those that the command line's own parser is tested with", async () => {
    // tests/unit/cli/test_panel_commands.py reads them; `scripts/web check -u` after an action was added.
    const lines = ACTIONS.flatMap((action) =>
      TARGETS[action.kind].flatMap((target) =>
        INPUTS.map((input) => ({ action: action.id, command: `omnitide ${action.command(target, input)}` })),
      ),
    );
    const distinct = [...new Map(lines.map((one) => [one.command, one])).values()];
    await expect(`${JSON.stringify(distinct, null, 2)}\n`).toMatchFileSnapshot("./commands.json");
  });

  it("are words by which the action is found", () => {
    for (const action of ACTIONS) {
      for (const target of TARGETS[action.kind]) {
        const [verb = ""] = action.command(target, INPUTS[0] as Input).split(` ${nameOf(target)}`);
        expect([action.title.toLowerCase(), ...action.words], action.id).toContain(verb);
      }
    }
  });
});
