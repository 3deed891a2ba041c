import { afterEach, beforeEach, expect, test, vi } from "vitest";

let asked: string[] = [];
let answer: (how?: RequestInit) => Response | Promise<Response> = () => Response.json({ demo: true });
let nowMs = 10_000;

/** Anew for each test: what it has asked together it keeps. */
async function client() {
  vi.resetModules();
  return { ...(await import("./client")), ...(await import("./session")) };
}

beforeEach(() => {
  asked = [];
  vi.stubGlobal("localStorage", { getItem: () => "mine", setItem: () => {} });
  vi.stubGlobal("fetch", async (path: string, how: RequestInit) => {
    asked.push(path);
    return answer(how);
  });
  vi.spyOn(performance, "now").mockImplementation(() => nowMs);
});
afterEach(() => {
  answer = () => Response.json({ demo: true });
  globalThis.omnitideEarly = undefined;
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** An answer whose head came, and of whose body no more than its beginning. */
function brokenOff(why: Error, status = 200): Response {
  const beginning = new TextEncoder().encode('{"principal": "op');
  const body = new ReadableStream({
    start: (control) => control.enqueue(beginning),
    pull: (control) => control.error(why),
  });
  return new Response(body, { status });
}

/** What public/first.js asked for. */
function early(path: string, answers: Promise<Response>): void {
  answers.catch(() => {});
  const nothing = { socket: null, opened: false, messages: [], closed: null };
  globalThis.omnitideEarly = { proof: "mine", ...nothing, answers: { [path]: answers } };
}

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

test("an early answer that failed, or that broke off, is asked for again", async () => {
  const { getCaller } = await client();
  const late = new DOMException("signal timed out", "TimeoutError");
  const lost = [Promise.reject(late), Promise.resolve(brokenOff(late)), Promise.resolve(brokenOff(late, 503))];
  for (const [at, one] of lost.entries()) {
    early("/v1/session", one);
    expect(await getCaller()).toEqual({ demo: true });
    expect(asked).toHaveLength(at + 1);
  }
});

test("an early refusal that came whole is the answer", async () => {
  const { getCaller } = await client();
  const problem = { code: "unauthenticated", detail: "no token is given" };
  early("/v1/session", Promise.resolve(Response.json(problem, { status: 401 })));
  await expect(getCaller()).rejects.toMatchObject({ name: "Refused", code: "unauthenticated" });
  expect(asked).toEqual([]);
});

test("who has left does not ask again for what was asked early", async () => {
  const { request } = await client();
  const gone = new AbortController();
  early("/v1/nodes", Promise.reject(new TypeError("network error")));
  const left = request("GET", "/v1/nodes", undefined, gone.signal);
  gone.abort();
  await expect(left).rejects.toMatchObject({ name: "AbortError" });
  expect(asked).toEqual([]);
});

test("an answer that breaks off midway, or that nobody can read, is refused like any other", async () => {
  const { getCaller } = await client();
  answer = () => brokenOff(new TypeError("network error"));
  await expect(getCaller()).rejects.toMatchObject({ name: "Refused", code: "unreachable" });
  answer = () => new Response("<html>a proxy's own</html>");
  await expect(getCaller()).rejects.toMatchObject({ name: "Refused", code: "unreadable" });
});

test("an early answer and its repetition have the time of one request together", async () => {
  const { getCaller } = await client();
  const limit = new AbortController();
  vi.spyOn(AbortSignal, "timeout").mockReturnValue(limit.signal);
  early("/v1/session", Promise.reject(new TypeError("network error")));
  answer = (how) =>
    new Promise((_, reject) => {
      how?.signal?.addEventListener("abort", () => reject(how.signal?.reason));
      limit.abort();
    });
  await expect(getCaller()).rejects.toThrow("did not answer within 15 s");
  expect(AbortSignal.timeout).toHaveBeenCalledOnce();
});
