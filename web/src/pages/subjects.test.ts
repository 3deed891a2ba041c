import { expect, it } from "vitest";
import { concernHref, subjectHref } from "./subjects";

it("what wants an eye has a page where there is one", () => {
  expect(concernHref("node alpha")).toBe("/nodes/alpha");
  expect(concernHref("agent shop/web")).toBe("/agents/shop/web");
  expect(concernHref("agent web")).toBe("/agents/default/web");
  expect(concernHref("job default/once")).toBe("/instances?q=job%3Aonce");
  expect(concernHref("clock")).toBe("");
  expect(concernHref("Nexus: disk")).toBe("");
  expect(subjectHref("agent/shop/web")).toBe("/agents/shop/web");
});
