import { describe, expect, it } from "vitest";
import type { Token } from "../../api/types";
import { createBody, createLine, listLine, lossesOf, type NewToken, revokeLine } from "./lines";

const asked = (more: Partial<NewToken>): NewToken => ({
  purpose: "join",
  ttl: "",
  note: "",
  uses: 1,
  label: "",
  ...more,
});

describe("the command line", () => {
  // tests/unit/cli/test_panel_commands.py holds the same lines against its parser.
  it.each([
    [asked({}), "omnitide token create"],
    [asked({ uses: 5, ttl: "1h", label: "zone=attic" }), "omnitide token create --uses 5 --ttl 1h --label zone=attic"],
    [asked({ purpose: "api", note: "the ci's" }), "omnitide token create --api --note 'the ci'\\''s'"],
    [asked({ purpose: "metrics", uses: 5, label: "a=b" }), "omnitide token create --metrics"],
    [asked({ purpose: "login", ttl: "1h", note: "x" }), "omnitide panel --ttl 1h"],
  ])("makes the same token", (one, line) => expect(createLine(one)).toBe(line));

  it("lists and revokes", () => {
    expect(listLine("session")).toBe("omnitide token list --purpose session");
    expect(revokeLine("n22p")).toBe("omnitide token revoke n22p");
  });
});

describe("a token that is made", () => {
  it("has what its kind takes and nothing else", () => {
    expect(createBody(asked({ uses: 3, label: "zone=a=b", note: "n" }))).toEqual({
      purpose: "join",
      note: "n",
      uses: 3,
      labels: { zone: "a=b" },
    });
    expect(createBody(asked({ purpose: "api", uses: 3, label: "a=b", ttl: "7d" }))).toEqual({
      purpose: "api",
      note: "",
      ttl: "7d",
    });
  });
});

describe("a token that is revoked", () => {
  const token = (purpose: Token["purpose"], id = "a") => ({ id, purpose }) as Token;
  it("says what is lost by it", () => {
    expect(lossesOf(token("session", "me"), "me", 0)).toEqual(["This browser is logged out at once."]);
    expect(lossesOf(token("api"), "me", 2)[1]).toBe("So are 2 browsers that it has let in.");
    expect(lossesOf(token("api"), "me", 0)).toHaveLength(1);
    expect(lossesOf(token("join"), "me", 0)[0]).toContain("Those that have joined stay");
  });
});
