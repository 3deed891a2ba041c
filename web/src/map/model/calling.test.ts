import { expect, test } from "vitest";
import type { Agent } from "../../api/types";
import { called } from "./calling";
import { instance, node } from "./sample";

const agents = ["web", "legacy-sync", "media/thumbnailer", "shop/web"].map((name) => {
  const [bare, namespace = "default"] = name.split("/").reverse();
  return [name, { id: name, name: bare, namespace } as Agent] as const;
});
const ALL = {
  node: new Map(["rack-a-001", "rack-a-002"].map((name) => [name, node(name)])),
  instance: new Map(["thumbnailer-2.1", "thumbnailer-23.1", "web-1.1"].map((name) => [name, instance(name, "")])),
  agent: new Map(agents),
};

const names = (text: string, most = 9) => called(text, ALL, most).map((hit) => `${hit.kind} ${hit.name}`);

test("only what has the text in its name is meant, however long the name is", () => {
  expect(names("rack")).toEqual(["node rack-a-001", "node rack-a-002"]);
  expect(names("zzz")).toEqual([]); // as long as `web`
  expect(names("nosuchthing")).toEqual([]); // as long as `legacy-sync` and `thumbnailer`
  expect(names(" ")).toEqual([]);
});

test("what is called exactly so comes first, and all of an agent before one of its replicas", () => {
  expect(names("legacy-sync")).toEqual(["agent legacy-sync"]);
  expect(names("thumbnailer-23")).toEqual(["instance thumbnailer-23.1"]);
  expect(names("Thumbnailer")).toEqual([
    "agent media/thumbnailer",
    "instance thumbnailer-2.1",
    "instance thumbnailer-23.1",
  ]);
  expect(names("web")).toEqual(["agent shop/web", "agent web", "instance web-1.1"]);
});

test("an agent is found by the name of its namespace and its own, and no more than asked for are told", () => {
  expect(names("shop/web")).toEqual(["agent shop/web"]);
  expect(names("media/")).toEqual(["agent media/thumbnailer"]);
  expect(names("rack", 1)).toEqual(["node rack-a-001"]);
});
