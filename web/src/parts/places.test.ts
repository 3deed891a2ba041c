import { expect, it } from "vitest";
import { belongsTo } from "./places";

it.each([
  ["/nodes/alpha", "/nodes"],
  ["/agents/default/web", "/agents"],
  ["/agents/new", "/agents"],
  ["/import", "/agents"],
  ["/logs/default/web", "/agents"],
  ["/instances/default/web-1.1", "/instances"],
  ["/instances/i1/terminal", "/instances"],
  ["/logs", undefined],
  ["/nodesque", undefined],
])("%s is found by %s", (path, place) => {
  expect(belongsTo(path)).toBe(place);
});
