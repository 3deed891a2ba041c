import { describe, expect, it } from "vitest";
import { commandIn } from "./values";

describe("what has to be there first", () => {
  const need = {
    kind: "secret",
    name: "pw",
    command: "omnitide secret set pw --from-file pw.txt",
    reason: "",
  } as const;
  it("is made where the agents go", () => {
    expect(commandIn("shopns", need)).toBe("omnitide secret set shopns/pw --from-file pw.txt");
    expect(commandIn("default", need)).toBe(need.command);
    const volume = { ...need, kind: "volume", command: "mkdir /srv/pw" } as const;
    expect(commandIn("shopns", volume)).toBe("mkdir /srv/pw");
  });
});
