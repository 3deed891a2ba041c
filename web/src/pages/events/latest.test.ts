import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EMPTY } from "./feed";
import { latestEvents } from "./latest";

const event = (revision: number, kind: string) => ({
  id: `log/${revision}.1`,
  revision,
  type: `omnitide.${kind}.v1`,
  subject: "agent/default/web",
  time: "2026-01-01T00:00:00Z",
});
const page = (items: object[], revision: number, more = false) => ({
  items,
  revision,
  next_after: revision,
  next_skip: 0,
  more,
});

let asked: URLSearchParams[] = [];
let answer: (query: URLSearchParams) => object = () => page([], 0);
beforeEach(() => {
  asked = [];
  vi.stubGlobal("localStorage", { getItem: () => "proof" });
  vi.stubGlobal("fetch", async (path: string) => {
    const query = new URL(path, "https://nexus").searchParams;
    asked.push(query);
    const found = answer(query);
    const status = "code" in found ? 410 : 200;
    return new Response(JSON.stringify(found), { status, headers: { "Content-Type": "application/json" } });
  });
});
afterEach(() => vi.unstubAllGlobals());

const { signal } = new AbortController();
const revisions = (feed: { events: readonly { revision: number }[] }) => feed.events.map(({ revision }) => revision);

test("a deployment is there though a thousand crashes came since; then only what is new is asked for", async () => {
  answer = (query) =>
    query.has("kinds") ? page([event(5, "agent.created")], 900) : page([event(899, "instance.exited")], 900);
  const first = await latestEvents(EMPTY, "", signal);
  expect(revisions(first)).toEqual([899, 5]);
  expect(asked.map((one) => one.get("last"))).toEqual(["300", "60"]);
  expect(asked[1]?.getAll("kinds")).not.toContain("instance");

  asked = [];
  answer = () => page([event(901, "instance.exited")], 950);
  const next = await latestEvents(first, "", signal);
  expect(revisions(next)).toEqual([901, 899, 5]);
  expect(asked.map((one) => [one.get("after"), one.get("log")])).toEqual([["900", "log"]]);
  asked = [];
  await latestEvents(next, "", signal);
  expect(asked[0]?.get("after")).toBe("950");
});

test.each([
  ["more than is worth reading", page([event(2, "agent.created")], 2, true)],
  ["what is no longer kept", { code: "trimmed", detail: "gone" }],
  ["another log", { code: "unknown-revision", detail: "restored" }],
])("after %s it begins anew", async (_, refused) => {
  answer = () => page([event(9, "instance.exited")], 9);
  const first = await latestEvents(EMPTY, "", signal);
  answer = (query) => (query.has("after") ? refused : page([event(70, "instance.exited")], 70));
  const anew = await latestEvents(first, "", signal);
  expect(revisions(anew)).toEqual([70]);
  expect(anew.revision).toBe(70);
});

test("another refusal is told, and of one instance there is nothing seldom to ask for", async () => {
  answer = () => page([event(9, "instance.exited")], 9);
  const first = await latestEvents(EMPTY, "instance/default/web-1.1", signal);
  expect(asked.map((one) => one.get("subject"))).toEqual(["instance/default/web-1.1"]);
  answer = () => ({ code: "forbidden", detail: "no" });
  await expect(latestEvents(first, "instance/default/web-1.1", signal)).rejects.toThrow("no");
});

test("a refusal of what is new is told, though the newest would be given", async () => {
  answer = () => page([event(9, "instance.exited")], 9);
  const first = await latestEvents(EMPTY, "", signal);
  answer = (query) =>
    query.has("after") ? { code: "forbidden", detail: "no" } : page([event(70, "instance.exited")], 70);
  await expect(latestEvents(first, "", signal)).rejects.toThrow("no");
});
