import { describe, expect, it, vi } from "vitest";
import type { Instance } from "../api/types";
import { takeWanted } from "../terminal/wanted";
import { follow, hindranceOf, OPENINGS, openingsFor } from "./openings";
import { ACTIONS } from "./registry";
import type { Target } from "./target";

const instance = (status: string): Target => ({
  kind: "instance",
  object: { id: "i1", name: "web-1.1", namespace: "default", status, node: "alpha" } as Instance,
});

describe("pages of what is chosen", () => {
  it("have keys that no action of theirs has", () => {
    for (const one of OPENINGS) {
      expect(ACTIONS.some((action) => action.kind === one.kind && action.key === one.key)).toBe(false);
      expect("jkg/?f".includes(one.key)).toBe(false);
    }
  });

  it("are for one thing, and a terminal for what runs", () => {
    expect(openingsFor([instance("running"), instance("running")]).map((one) => one.title)).toEqual(["Output"]);
    const [terminal] = openingsFor([instance("failed")]);
    const navigate = vi.fn();
    if (terminal) follow(terminal, [instance("failed")], navigate);
    expect(terminal?.hindrance(instance("failed"))).toContain("only what runs");
    expect(navigate).not.toHaveBeenCalled();
  });

  it("show the output of all that is selected together", () => {
    const two = [instance("running"), { kind: "instance", object: { ...instance("failed").object, name: "db-1.1" } }];
    const [output] = openingsFor(two as Target[]);
    const navigate = vi.fn();
    if (output) follow(output, two as Target[], navigate);
    expect(navigate).toHaveBeenCalledWith("/logs?of=instance%3Aweb-1.1,instance%3Adb-1.1");
    const many = Array.from({ length: 201 }, () => instance("running"));
    expect(output && hindranceOf(output, many)).toContain("200 can be shown");
  });

  it("start a shell once, for whoever asked for it", () => {
    const [terminal] = openingsFor([instance("running")]);
    const navigate = vi.fn();
    if (terminal) follow(terminal, [instance("running")], navigate);
    expect(navigate).toHaveBeenCalledWith("/instances/i1/terminal");
    expect(takeWanted("i1")).toBe(true);
    expect(takeWanted("i1")).toBe(false);
  });
});
