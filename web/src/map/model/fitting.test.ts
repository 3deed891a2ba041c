import { describe, expect, it } from "vitest";
import { fitName, kinOf, parted, type Room, sharedOf, within } from "./fitting";
import { chance } from "./sample";

const wide = (text: string) => text.length * 6;
const room = (width: number, more: Partial<Room> = {}): Room => ({
  width,
  lines: 2,
  px: 13,
  least: 10.5,
  broken: true,
  ...more,
});
const lines = (name: string, of: Room) =>
  fitName(name, of, wide, NAMES.includes(name) ? kinOf(NAMES) : undefined).lines;
const NAMES = ["vm-prod-eu-build-001.example.com", "vm-prod-eu-build-002.example.com", "vm-prod-eu-db-001.example.com"];

describe("a name", () => {
  it("is as large as it has room for, and smaller before it is in two", () => {
    expect(fitName("nuc-001", room(60), wide)).toEqual({ lines: ["nuc-001"], px: 13, told: "whole" });
    expect(fitName("nuc-0001", room(55), wide)).toEqual({ lines: ["nuc-0001"], px: 12, told: "whole" });
    expect(fitName("nuc-00001", room(55), wide)).toEqual({ lines: ["nuc-00001"], px: 10.5, told: "whole" });
    expect(fitName("nuc-000001", room(55), wide)).toEqual({ lines: ["nuc-", "000001"], px: 10.5, told: "whole" });
  });

  it("is whole in two, parted at a joint or, if it has none, anywhere", () => {
    expect(lines("office-north-nuc-001", room(84))).toEqual(["office-north-", "nuc-001"]);
    expect(lines("onewordalone", room(40))).toEqual(["onewor", "dalone"]);
    expect(fitName("onewordalone", room(40, { broken: false }), wide).told).toBe("short");
    expect(lines("two words", room(40))).toEqual(["two", "words"]);
    expect(lines("transcoder-10.1", room(84))).toEqual(["transcoder-", "10.1"]);
    expect(lines("host.example.com", room(84))).toEqual(["host.example.", "com"]);
  });

  it("is parted within a word only where that alone is wider than a line, and at its joints else", () => {
    const three = (width: number) => room(width, { lines: 3 });
    expect(lines("internationalisation-ingest-gateway-2.1", three(114))).toEqual([
      "internationalisatio",
      "n-ingest-gateway-",
      "2.1",
    ]);
    expect(lines("api-internationalisation-2.1", three(96))).toEqual(["api-", "internationalisa", "tion-2.1"]);
    expect(lines("internationalisation.example-2", three(96))).toEqual(["internationalisa", "tion.example-2"]);
    // Where it has no room so, it is whole all the same.
    expect(lines("ab-internationalisation-abcdefghi-4", three(72))).toEqual([
      "ab-internati",
      "onalisation-",
      "abcdefghi-4",
    ]);
    expect(lines("a-internationalisation-2", three(60))).toEqual(["a-internat", "ionalisati", "on-2"]);
  });

  it("loses what it shares with its neighbours first: the end, then the beginning too", () => {
    const [name = ""] = NAMES;
    expect(lines(name, room(102))).toEqual(["vm-prod-eu-build-", "001.example.com"]);
    expect(lines(name, room(72))).toEqual(["vm-prod-eu-", "build-001…"]);
    expect(lines(name, room(66, { lines: 1 }))).toEqual(["…build-001…"]);
    expect(lines(name, room(36))).toEqual(["…build", "-001…"]);
    expect(fitName(name, room(36), wide, kinOf(NAMES)).told).toBe("apart");
  });

  it("is shortened in the middle where nothing else is left, so that what tells it from the others stays", () => {
    expect(fitName("edge-harbour-001", room(60, { lines: 1 }), wide).lines[0]).toMatch(/^\w.*….*001$/);
    expect(fitName("checkout-12.3", room(60, { lines: 1 }), wide, undefined, 5).lines).toEqual(["chec…-12.3"]);
    expect(fitName("checkout-12.3", room(60, { lines: 1 }), wide, undefined, 5).told).toBe("short");
    expect(fitName("edge", room(6, { lines: 1 }), wide).lines).toEqual(["edg"]);
  });

  it("is cut where it differs, though it ends, or begins and ends, as others do and one is another altogether", () => {
    const hosts = [10, 11, 12, 100, 101].map((host) => `ip-10-0-3-${host}-eu-central-compute-intern`);
    const letters = Array.from(
      { length: 20 },
      (_, at) => `${"a".repeat(19)}${String.fromCharCode(98 + at)}${"a".repeat(20)}`,
    );
    for (const [names, width, lines] of [
      [[...hosts, "gateway-007"], 66, 3],
      [letters, 66, 3],
      [letters, 66, 1],
      [["payments-production-europe-worker-12.3", "payments-production-europe-writer-12.3"], 54, 3],
    ] as const) {
      const kin = kinOf(names);
      const told = names.map((name) => fitName(name, room(width, { lines }), wide, kin));
      for (const [at, one] of told.entries()) {
        const [head = "", foot = ""] = one.lines.join("").split("…");
        const meant = names.filter((name) =>
          one.lines.join("").startsWith("…") ? name.includes(foot) : name.startsWith(head) && name.endsWith(foot),
        );
        expect(meant, one.lines.join("/")).toEqual([names[at]]);
        expect(one.lines.length).toBeLessThanOrEqual(lines);
        for (const line of one.lines) expect(wide(line)).toBeLessThanOrEqual(width);
      }
    }
    const alike = ["x".repeat(30), "x".repeat(31)];
    expect(fitName(alike[0] ?? "", room(36, { lines: 1 }), wide, kinOf(alike)).told).toBe("cut");
  });

  it("is another than each of its neighbours', at any width at which one letter of what tells them apart has room", () => {
    const draw = chance(7);
    const word = () => Array.from({ length: 1 + Math.floor(draw() * 6) }, () => "abc"[Math.floor(draw() * 3)]).join("");
    for (let round = 0; round < 200; round += 1) {
      const [head, tail] = [draw() < 0.5 ? `${word()}-${word()}-` : "", draw() < 0.5 ? `.${word()}` : ""];
      const names = [...new Set(Array.from({ length: 5 }, () => `${head}${word()}-${word()}${tail}`))];
      const kin = kinOf(names);
      for (const width of [40, 60, 80, 120]) {
        const told = names.map((name) => fitName(name, room(width, { lines: 3 }), wide, kin));
        const texts = told.map((one) => one.lines.join(""));
        expect(new Set(texts).size, `${names} in ${width}: ${texts}`).toBe(names.length);
        for (const [at, one] of told.entries()) {
          if (one.told === "whole") expect(texts[at]).toBe(names[at]);
          for (const line of one.lines) expect((wide(line) * one.px) / 10.5).toBeLessThanOrEqual(width);
        }
      }
    }
  });
});

describe("what names share", () => {
  it("is whole words at both ends, and never all of a name", () => {
    expect(sharedOf(NAMES)).toEqual({ head: "vm-prod-eu-".length, tail: ".example.com".length });
    expect(sharedOf(["web-1", "web-10"])).toEqual({ head: 4, tail: 0 });
    expect(sharedOf(["web-", "web-1"])).toEqual({ head: 0, tail: 0 });
    expect(sharedOf(["a.example.com", "b.example.com"])).toEqual({ head: 0, tail: 12 });
    expect(sharedOf(["alone-1"])).toEqual({ head: 0, tail: 0 });
    expect(sharedOf([])).toEqual({ head: 0, tail: 0 });
    expect(sharedOf(["x-ab", "y-cab"])).toEqual({ head: 0, tail: 0 });
    expect(sharedOf(["a-b", "a-b"])).toEqual({ head: 2, tail: 0 });
  });
});

describe("a text", () => {
  it("is told as far as there is room, or not at all", () => {
    expect(within("short", 60, wide)).toBe("short");
    expect(within("edge-harbour-001", 60, wide)).toBe("edge-harb…");
    expect(within("edge-harbour-001", 12, wide)).toBe("");
    expect(within("😀😀😀😀😀", 50, wide)).toBe("😀😀😀…");
  });

  it("is parted at its joints alone where that is asked", () => {
    expect(parted("office-northern-side", 80, 2, wide)).toEqual(["office-", "northern-side"]);
    expect(parted("onewordalone", 40, 2, wide)).toBeUndefined();
    expect(parted("averyveryverylongword-b", 40, 2, wide)).toBeUndefined();
  });
});
