import { describe, expect, it } from "vitest";
import { decoded, mended } from "./readable";

describe("an address", () => {
  it("is shown as what was meant, and a broken one as it stands there", () => {
    expect(decoded("%3Cimg%20src=x%3E")).toBe("<img src=x>");
    for (const broken of ["%E0%A4%A", "%", "%zz"]) expect(decoded(broken)).toBe(broken);
  });

  it("that is broken is mended so that all of it can be read, and no other is touched", () => {
    for (const broken of ["/nodes/%E0%A4%A", "/agents/default/%", "/instances/%zz"]) {
      const now = mended(broken, "");
      expect(decodeURI(now)).toBe(broken);
      expect(mended(now, "")).toBe(now);
    }
    expect(mended("/map", "#%")).toBe("/map#%25");
    expect(mended("/nodes/a%20b", "#top")).toBe("/nodes/a%20b#top");
  });
});
