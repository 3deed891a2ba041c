import { describe, expect, it } from "vitest";
import { notTaken } from "./samples";

describe("samples that were not taken", () => {
  it("have the reason, and whether that is a fault", () => {
    expect(notTaken({ dropped_by: {} })).toBe("");
    expect(notTaken({ dropped_by: { ended: 16 } })).toBe(
      "of instances that were over when their last samples came, which is no fault",
    );
    expect(notTaken({ dropped_by: { ended: 1200, "too old": 3, odd: 1 } })).toBe(
      "1\u202f200 of instances that were over when their last samples came, which is no fault; " +
        "3 they came more than two minutes late; 1 odd",
    );
  });
});
