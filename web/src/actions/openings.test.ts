import { describe, expect, it, vi } from "vitest";
import type { Instance } from "../api/types";
import { takeWanted } from "../terminal/wanted";
import { follow, OPENINGS, openingsFor } from "./openings";
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
    expect(openingsFor([instance("running"), instance("running")])).toEqual([]);
    const [terminal] = openingsFor([instance("failed")]);
    const navigate = vi.fn();
    if (terminal) follow(terminal, instance("failed"), navigate);
    expect(terminal?.hindrance(instance("failed"))).toContain("only what runs");
    expect(navigate).not.toHaveBeenCalled();
  });

  it("start a shell once, for whoever asked for it", () => {
    const [terminal] = openingsFor([instance("running")]);
    const navigate = vi.fn();
    if (terminal) follow(terminal, instance("running"), navigate);
    expect(navigate).toHaveBeenCalledWith("/instances/i1/terminal");
    expect(takeWanted("i1")).toBe(true);
    expect(takeWanted("i1")).toBe(false);
  });
});
