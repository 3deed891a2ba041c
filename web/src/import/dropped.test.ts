import { describe, expect, it } from "vitest";
import {
  composeOf,
  type Dropped,
  folderOf,
  MOST_BYTES,
  manifestOf,
  mayBeCompose,
  namesProject,
  projectOf,
  TooMuch,
  textsOf,
  withoutFolder,
} from "./dropped";

const file = (path: string, text = ""): Dropped => ({ path, text });

describe("files that are dropped", () => {
  it("are known as Compose files by name, or by what they begin with", () => {
    expect(composeOf([file("compose.override.yaml"), file("compose.yaml"), file("db.env")])).toEqual([
      "compose.yaml",
      "compose.override.yaml",
    ]);
    expect(composeOf([file("stack.yml", "services:\n  a: {}"), file("agent.yaml", "name: a")])).toEqual(["stack.yml"]);
    expect(composeOf([file("sub/compose.yaml"), file("docker-compose.yml")])).toEqual(["docker-compose.yml"]);
    expect(composeOf([file("agent.yaml", "name: a")])).toEqual([]);
  });

  it("are a manifest where one alone is no Compose file", () => {
    expect(manifestOf([file("agent.toml", 'name = "a"')])?.path).toBe("agent.toml");
    expect(manifestOf([file("compose.yaml")])).toBeUndefined();
    expect(manifestOf([file("a.toml"), file("b.toml")])).toBeUndefined();
    expect(manifestOf([file("photo.txt")])).toBeUndefined();
  });

  it("lose the folder that all are in", () => {
    expect(withoutFolder([file("shop/compose.yaml"), file("shop/db/a.env")]).map((one) => one.path)).toEqual([
      "compose.yaml",
      "db/a.env",
    ]);
    expect(withoutFolder([file("compose.yaml"), file("shop/a")]).map((one) => one.path)).toEqual([
      "compose.yaml",
      "shop/a",
    ]);
  });

  it("are offered as Compose files only where they can be, and name their project or come with its folder", () => {
    const given = ["compose.yaml", ".env", "pw.txt", "stack.yml", "Dockerfile"].map((path) => file(path));
    expect(given.filter(mayBeCompose).map((one) => one.path)).toEqual(["compose.yaml", "stack.yml"]);
    expect(folderOf([file("shop/compose.yaml"), file("shop/db/a.env")])).toBe("shop");
    expect(folderOf([file("compose.yaml"), file("pw.txt")])).toBe("");
    expect(folderOf([file("shop/compose.yaml"), file("other/a")])).toBe("");
    const named = [
      file("compose.yaml", "name: shop\nservices:\n  name: x\n"),
      file("b.yaml", "services:\n  name: x\n"),
    ];
    expect(namesProject(named, ["compose.yaml"])).toBe(true);
    expect(namesProject(named, ["b.yaml"])).toBe(false);
    expect(namesProject([file("b.yaml"), file(".env", "A=1\nCOMPOSE_PROJECT_NAME=shop\n")], ["b.yaml"])).toBe(true);
  });

  it("are taken up to a size, and no others than texts", async () => {
    const given = (path: string, text: string) => ({ path, file: new File([text], path) });
    expect(await textsOf([given("a", "x"), given("b", "\u0000")])).toEqual([file("a", "x")]);
    await expect(textsOf([given("a", "x".repeat(MOST_BYTES + 1))])).rejects.toBeInstanceOf(TooMuch);
  });

  it("call their project by its folder, or by the one file there is, and are asked about only where neither says it", () => {
    const called = (...paths: string[]) =>
      projectOf(
        paths.map((path) => file(path)),
        composeOf(paths.map((path) => file(path, "services:\n"))),
      );
    expect(called("shop/compose.yaml", "shop/.env")).toBe("shop");
    expect(called("shop.yaml")).toBe("shop");
    expect(called("My Shop.compose.yml")).toBe("myshop");
    expect(called("shop-docker-compose.yaml")).toBe("shop");
    for (const nameless of ["compose.yaml", "docker-compose.yml", "compose.prod.yaml", "docker-compose.override.yml"]) {
      expect(called(nameless), nameless).toBe("");
    }
    expect(called("compose.yaml", "compose.override.yaml")).toBe("");
  });
});
