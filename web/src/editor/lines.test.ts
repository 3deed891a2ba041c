import { describe, expect, it } from "vitest";
import { entriesOf, entryAt, type Form, placeAt } from "./lines";

/** `|` is where the cursor is. */
function at(text: string, form: Form) {
  const offset = text.indexOf("¦");
  const found = placeAt(text.replace("¦", ""), offset, form);
  return found && { ...found, beside: [...found.beside].sort() };
}
const paths = (text: string, form: Form) => entriesOf(text, form).map((one) => `${one.line}:${one.path.join(".")}`);

const YAML = `name: web
command:
  - sh
  - |
    looks: like a key
resources:
  cpu: 0.5
constraints:
- label: zone
  operator: in
- label: arch
---
name: other
`;

describe("the lines of a YAML text", () => {
  it("have a path each, and texts of several lines have none", () => {
    expect(paths(YAML, "yaml")).toEqual([
      "0:name",
      "1:command",
      "5:resources",
      "6:resources.cpu",
      "7:constraints",
      "8:constraints.0.label",
      "9:constraints.0.operator",
      "10:constraints.1.label",
      "12:name",
    ]);
  });

  it("say which keys stand beside the one that is typed", () => {
    expect(at("name: a\nres¦\ncommand: [x]\n", "yaml")).toMatchObject({
      above: [],
      kind: "key",
      typed: "res",
      beside: ["command", "name"],
    });
    expect(at("resources:\n  cpu: 1\n  ¦\n", "yaml")).toMatchObject({
      above: ["resources"],
      kind: "key",
      beside: ["cpu"],
    });
    expect(at("constraints:\n  - label: a\n    ¦", "yaml")).toMatchObject({
      above: ["constraints", 0],
      beside: ["label"],
    });
    expect(at("constraints:\n  - label: a\n  - op¦", "yaml")).toMatchObject({ above: ["constraints", 1], typed: "op" });
  });

  it("say whose value is typed", () => {
    expect(at("placement: sp¦", "yaml")).toMatchObject({ above: [], key: "placement", kind: "value", typed: "sp" });
    expect(at("a:\n  - b: ¦", "yaml")).toMatchObject({ above: ["a", 0], key: "b", kind: "value", typed: "" });
  });

  it("have no place in a comment or in a text", () => {
    expect(at("# na¦", "yaml")).toBeUndefined();
    expect(at("command:\n  - |\n    na¦\n", "yaml")).toBeUndefined();
  });

  it("keep the documents of a text apart", () => {
    expect(at("name: a\nreplicas: 2\n---\n¦\n", "yaml")?.beside).toEqual([]);
  });

  it("are found by where the pointer is", () => {
    expect(entryAt(YAML, YAML.indexOf("cpu") + 1, "yaml")?.path).toEqual(["resources", "cpu"]);
    expect(entryAt(YAML, YAML.indexOf("0.5") + 1, "yaml")).toBeUndefined();
  });
});

const TOML = `name = "web"
command = [
  "sh", # one
  "x = 3",
]
limits = { memory = "1GiB", pids = 3 }

[ports.http]
port = 80

[[constraints]]
label = "zone"

[[constraints]]
label = "arch"
text = '''
not = here
'''
`;

describe("the lines of a TOML text", () => {
  it("have a path each", () => {
    expect(paths(TOML, "toml")).toEqual([
      "0:name",
      "1:command",
      "5:limits",
      "5:limits.memory",
      "5:limits.pids",
      "7:ports.http",
      "8:ports.http.port",
      "10:constraints",
      "11:constraints.0.label",
      "13:constraints",
      "14:constraints.1.label",
      "15:constraints.1.text",
    ]);
  });

  it("say what is typed where", () => {
    expect(at('name = "a"\nre¦\n', "toml")).toMatchObject({ above: [], kind: "key", typed: "re", beside: ["name"] });
    expect(at("[resources]\ncpu = 1\n¦", "toml")).toMatchObject({ above: ["resources"], beside: ["cpu"] });
    expect(at("resources.cp¦", "toml")).toMatchObject({ above: ["resources"], typed: "cp" });
    expect(at("[[constraints]]\noperator = ¦", "toml")).toMatchObject({
      above: ["constraints", 0],
      key: "operator",
      kind: "value",
    });
    expect(at("limits = { memory = 1, pi¦", "toml")).toMatchObject({
      above: ["limits"],
      kind: "key",
      typed: "pi",
      beside: ["memory"],
    });
    expect(at("a = { b = { c = ¦", "toml")).toMatchObject({ above: ["a", "b"], key: "c", kind: "value" });
    expect(at("[po¦", "toml")).toMatchObject({ above: [], kind: "key", typed: "po" });
    expect(at('command = ["x",\n  y¦', "toml")).toBeUndefined();
  });
});
