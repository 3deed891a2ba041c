import { afterEach, beforeEach, expect, test, vi } from "vitest";

let asked: string[] = [];
let answer: () => Response = () => Response.json({ demo: true });
let nowMs = 10_000;

/** Anew for each test: what it has asked together it keeps. */
async function client() {
  vi.resetModules();
  return { ...(await import("./client")), ...(await import("./session")) };
}

beforeEach(() => {
  asked = [];
  vi.stubGlobal("localStorage", { getItem: () => "mine", setItem: () => {} });
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    return answer();
  });
  vi.spyOn(performance, "now").mockImplementation(() => nowMs);
});
afterEach(() => {
  answer = () => Response.json({ demo: true });
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test("the frame and its page, which ask at once for the same, are told by one answer", async () => {
  const { getStatus } = await client();
  expect(await Promise.all([getStatus(), getStatus()])).toEqual([{ demo: true }, { demo: true }]);
  expect(asked).toEqual(["/v1/fabric"]);
  nowMs += 499;
  await getStatus();
  expect(asked).toHaveLength(1);
  nowMs += 2;
  await getStatus();
  expect(asked).toHaveLength(2);
});

test("another session is told nothing of what was asked before", async () => {
  const { getStatus, keepProof } = await client();
  await getStatus();
  keepProof("another's");
  await getStatus();
  expect(asked).toHaveLength(2);
});

test("who has left is told nothing, and the others are", async () => {
  const { getStatus } = await client();
  const gone = new AbortController();
  const [left, stays] = [getStatus(gone.signal), getStatus()];
  gone.abort();
  await expect(left).rejects.toThrow();
  expect(await stays).toEqual({ demo: true });
});

test("a refusal is not kept", async () => {
  const { getStatus } = await client();
  answer = () => Response.json({ code: "busy", detail: "later" }, { status: 503 });
  await expect(getStatus()).rejects.toThrow("later");
  answer = () => Response.json({ demo: true });
  expect(await getStatus()).toEqual({ demo: true });
});
