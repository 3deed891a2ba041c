import { describe, expect, it } from "vitest";
import type { CloudEvent } from "../api/types";
import { tell } from "./events";
import { bytes, cores, count, percent, span, visible } from "./format";
import same from "./told.json";

describe("numbers", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [24 * 1024 ** 3, "24 GiB"],
    [23.46 * 1024 ** 3, "23 GiB"],
  ])("%d bytes are %s", (size, text) => expect(bytes(size)).toBe(text));

  it.each([
    [0, "0"],
    [0.4, "<0.001"],
    [3, "0.003"],
    [35, "0.035"],
    [50, "0.05"],
    [123, "0.12"],
    [1500, "1.5"],
    [2000, "2"],
    [96_000, "96"],
  ])("%d thousandths are %s cores", (milli, text) => expect(cores(milli)).toBe(text));

  it("never show something as nothing", () => {
    expect(percent(1, 1000)).toBe("<1 %");
    expect(percent(0, 1000)).toBe("0 %");
    expect(percent(1, 0)).toBe("–");
    expect(count(1234567)).toBe("1\u202f234\u202f567");
  });
});

describe("times", () => {
  it.each([
    [-5000, "0 s"],
    [59_999, "59 s"],
    [65_000, "1 min 5 s"],
    [20 * 60_000, "20 min"],
    [3_600_000 + 60_000, "1 h 1 min"],
    [26 * 3_600_000, "1 d 2 h"],
    [40 * 86_400_000, "40 d"],
  ])("%d ms are %s", (length, text) => expect(span(length)).toBe(text));
});

describe("names", () => {
  it("show what would turn or hide their letters", () => {
    expect(visible("a\u202eb\u200bc\u0007")).toBe("a\\u202eb\\u200bc\\u0007");
    expect(visible("a\u061cb\u00adc\u2028d")).toBe("a\\u061cb\\u00adc\\u2028d");
    expect(visible("naïve-ß-日本")).toBe("naïve-ß-日本");
  });
});

describe("events", () => {
  const event = (type: string, subject: string, data: object): CloudEvent =>
    ({ type, subject, data, time: "2026-01-01T00:00:00Z" }) as unknown as CloudEvent;

  it("are told in words", () => {
    const told = tell(
      event("omnitide.instance.exited.v1", "instance/default/a-1.1", { exit: { code: 3 }, node_name: "n" }),
    );
    expect(told).toMatchObject({
      subject: "instance a-1.1",
      text: "exited: exit code 3; starts again",
      tone: "bad",
      node: "n",
    });
  });

  it.each(same)("are told as the command line tells them: $kind, $text", ({ kind, data, text }) => {
    expect(tell(event(`omnitide.${kind}.v1`, "x/default/a", data)).text).toBe(text);
  });

  it("are no ill where somebody asked for the end", () => {
    const exited = event("omnitide.instance.exited.v1", "instance/default/a-1.1", { exit: { reason: "stopped" } });
    expect(tell(exited).tone).toBe("off");
  });

  it("say who asked for it, where somebody did", () => {
    const scaled = event("omnitide.agent.scaled.v1", "agent/default/a", { replicas: 3 });
    expect(tell({ ...scaled, by: "administrator in Firefox (session s1)" })).toMatchObject({
      text: "scaled to 3, by administrator in Firefox (session s1)",
    });
    expect(tell(scaled)).toMatchObject({ text: "scaled to 3" });
  });

  it("of a kind that is not known are told by it", () => {
    expect(tell(event("omnitide.node.fell-asleep.v2", "node/alpha", {}))).toMatchObject({ text: "fell asleep" });
  });
});
