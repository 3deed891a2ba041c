import { describe, expect, it } from "vitest";
import { bytes } from "../words/format";
import { isOver, useWords } from "./useWords";

const MIB = 1024 * 1024;

describe("what is used", () => {
  it("is told as a share of what was asked for, as long as it is within that", () => {
    expect(isOver(16 * MIB, 32 * MIB)).toBe(false);
    expect(isOver(32 * MIB, 32 * MIB)).toBe(false);
    expect(useWords(16 * MIB, 32 * MIB, bytes, 1)).toBe("50 % of what was asked for");
    expect(useWords(16 * MIB, 32 * MIB, bytes, 3)).toBe("50 % of what was asked for, 3 instances together");
  });

  it("is told beside what is reserved where it is more", () => {
    expect(isOver(209 * MIB, 32 * MIB)).toBe(true);
    expect(useWords(209 * MIB, 32 * MIB, bytes, 1)).toBe("209 MiB used, 32 MiB reserved");
    expect(useWords(209 * MIB, 64 * MIB, bytes, 2)).toBe("209 MiB used, 64 MiB reserved, 2 instances together");
  });

  it("is over nothing where nothing was asked for, or where it is not known", () => {
    expect(isOver(209 * MIB, 0)).toBe(false);
    expect(isOver(undefined, 32 * MIB)).toBe(false);
    expect(useWords(209 * MIB, 0, bytes, 1)).toBe("nothing was asked for");
  });
});
