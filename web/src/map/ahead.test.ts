import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";

const SCRIPT = readFileSync(new URL("../../public/first.js", import.meta.url), "utf8");
const PARTS = "/assets/MapPage-1.js /assets/shared-2.js";

/** What the script asks for ahead, on the page at `pathname` of a browser with or without a session. */
function askedFor(pathname: string, proof: string | null, map: string | undefined = PARTS): object[] {
  const links: object[] = [];
  runInNewContext(SCRIPT, {
    window: {},
    document: {
      addEventListener() {},
      documentElement: { dataset: {} },
      currentScript: { dataset: { map } },
      createElement: (tag: string) => ({ tag }),
      head: { append: (link: object) => links.push(link) },
    },
    location: { search: "", protocol: "https:", host: "nexus.example:7400", pathname },
    localStorage: { getItem: (name: string) => (name === "omnitide.proof" ? proof : null) },
    setTimeout: () => 0,
    URLSearchParams,
    AbortSignal,
    WebSocket: class {},
    MutationObserver: class {
      observe() {}
    },
    fetch: () => Promise.reject(new Error("away")),
  });
  return links;
}

test("the map's page is asked for along with the panel's script, behind it", () => {
  const link = (href: string) => ({ tag: "link", rel: "modulepreload", href, crossOrigin: "", fetchPriority: "low" });
  for (const home of ["/", "/map"]) {
    expect(askedFor(home, "p1")).toEqual(PARTS.split(" ").map(link));
  }
});

test("nothing of it is, on other pages, without a session, or where nothing was built", () => {
  expect(askedFor("/nodes", "p1")).toEqual([]);
  expect(askedFor("/map", null)).toEqual([]);
  expect(askedFor("/map", "p1", "")).toEqual([]);
});
