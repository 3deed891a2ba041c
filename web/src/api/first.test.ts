import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";
import { expect, test, vi } from "vitest";

const SCRIPT = readFileSync(new URL("../../public/first.js", import.meta.url), "utf8");

/** What the script does before the first paint, on a page at `search` of a browser that keeps `kept`. */
function run(search: string, kept: Record<string, string> | "forbidden", pathname = "/nodes") {
  const sockets: { address: string; protocols: string[]; closed: boolean; onmessage?: (event: object) => void }[] = [];
  const asked: string[] = [];
  const dataset: Record<string, string> = {};
  const window: { omnitideEarly?: { proof: string; messages: unknown[] } } = {};
  runInNewContext(SCRIPT, {
    window,
    document: { documentElement: { dataset }, addEventListener() {} },
    MutationObserver: class {
      observe() {}
    },
    location: { search, pathname, protocol: "https:", host: "nexus.example:7400" },
    localStorage: {
      getItem: (name: string) => {
        if (kept === "forbidden") throw new Error("denied");
        return kept[name] ?? null;
      },
    },
    setTimeout: () => 0,
    URLSearchParams,
    AbortSignal,
    WebSocket: class {
      closed = false;
      constructor(
        readonly address: string,
        readonly protocols: string[],
      ) {
        sockets.push(this);
      }
      close() {
        this.closed = true;
      }
    },
    fetch: (path: string, how: { headers: Record<string, string> }) => {
      asked.push(`${path} ${how.headers["Omnitide-Proof"]}`);
      return Promise.reject(new Error("away"));
    },
  });
  return { sockets, asked, dataset, early: window.omnitideEarly };
}

const SESSION = { "omnitide.proof": "p1" };

test("with a session, the view and who is logged in are asked for before the panel's own script is there", () => {
  const { sockets, asked, dataset, early } = run("", SESSION);
  expect(sockets.map(({ address, protocols }) => [address, ...protocols])).toEqual([
    ["wss://nexus.example:7400/v1/view", "omnitide.v1", "proof.p1"],
  ]);
  expect(asked).toEqual(["/v1/session p1", "/v1/fabric p1"]);
  expect(dataset.session).toBe("");
  expect(early?.proof).toBe("p1");
});

test("what the overview shows is asked for as the overview asks it", async () => {
  const request = vi.fn((_method: string, _path: string) => Promise.resolve({ items: [], revision: 1 }));
  vi.resetModules();
  vi.doMock("./client", () => ({ request, Refused: class extends Error {} }));
  const { latestEvents } = await import("../pages/events/latest");
  const { EMPTY } = await import("../pages/events/feed");
  await latestEvents(EMPTY, "", new AbortController().signal);
  vi.doUnmock("./client");
  vi.resetModules();
  const paths = request.mock.calls.map(([, path]) => path);
  expect(paths).toHaveLength(2);
  expect(run("", SESSION, "/overview").asked).toEqual(
    ["/v1/session", "/v1/fabric", ...paths].map((path) => `${path} p1`),
  );
  // Of the past it asks otherwise.
  expect(run("?at=3", SESSION, "/overview").asked).toEqual(["/v1/session p1", "/v1/fabric p1"]);
});

test("by a link that logs in nothing is asked for as the session before: it is about to be another's", () => {
  for (const search of ["?login=c0de", "?at=3&login=", "?login"]) {
    const { sockets, asked, dataset, early } = run(search, SESSION);
    expect([sockets.length, asked.length, "session" in dataset, early]).toEqual([0, 0, false, undefined]);
  }
  expect(run("?at=3", SESSION).sockets).toHaveLength(1);
});

test("without a session, or where nothing may be kept, nothing is asked for", () => {
  for (const kept of [{}, { "omnitide.proof": "" }, "forbidden"] as const) {
    const { sockets, asked, dataset, early } = run("", kept);
    expect([sockets.length, asked.length, "session" in dataset, early]).toEqual([0, 0, false, undefined]);
  }
});

test("the look is there before anything is drawn, as far as it is one", () => {
  const { dataset } = run("", { "omnitide.theme": "dark", "omnitide.density": "compact" });
  expect(dataset).toEqual({ theme: "dark", density: "compact" });
  expect(run("", { "omnitide.theme": "<b>", "omnitide.density": "x" }).dataset).toEqual({});
});

test("a script that does not come costs no more than so many messages", () => {
  const { sockets, early } = run("", SESSION);
  for (let at = 0; at < 2_000; at += 1) sockets[0]?.onmessage?.({ data: at });
  expect([early?.messages.length, sockets[0]?.closed]).toEqual([2_000, false]);
  sockets[0]?.onmessage?.({ data: "more" });
  expect(sockets[0]?.closed).toBe(true);
});
