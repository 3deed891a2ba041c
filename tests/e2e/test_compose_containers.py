"""A Compose file imported with --apply: its containers really run, on a real engine, in the order that it says."""

import json
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.container_engine import DockerEngine, built, engine_in
from support.fabric_processes import Fabric
from support.panel_browser import WITHIN_MS, chromium, visit

SHOP = """\
name: shop
services:
  migrate:
    image: conform:1
    command: say migrated
  db:
    image: conform:1
    command: [heed]
    restart: always
    container_name: Shop_DB
    networks: {default: {aliases: [store]}}
    ulimits: {nofile: {soft: 256, hard: 512}}
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, /conform, exit, "0"], interval: 1s, timeout: 1s}
  web:
    image: conform:1
    command: heed
    restart: always
    environment: {PRICE: "5 $$"}
    cap_drop: [ALL]
    links: ["db:postgres"]
    ports: ["127.0.0.1:18081:80", "18053:53/tcp", "18053:53/udp"]
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
volumes:
  data:
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[DockerEngine]:
    program = built(tmp_path_factory.mktemp("conform"))
    with engine_in(tmp_path_factory.mktemp("engine")) as made:
        made.make_image("conform:1", program)
        yield made


@pytest.fixture(scope="module")
def crashing(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Generator[Fabric]:
    with pytest.MonkeyPatch.context() as patch, Fabric(tmp_path_factory.mktemp("crashing")) as made:
        patch.setenv("DOCKER_HOST", engine.host)
        made.up()
        yield made


def test_a_project_runs_as_its_file_says(
    lone: Fabric, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    lone.up()
    file = tmp_path / "compose.yaml"
    file.write_text(SHOP)
    told = lone.cli("import", "compose", str(file), "--strict", "--apply", "--timeout", "1m").stdout
    assert "migrate has ended well" in told
    lone.running("web", 1)
    lone.running("db", 1)
    (migrate,) = lone.client.instances(agent="migrate", ended=True)
    assert migrate.status == "succeeded"

    def container(agent: str) -> str:
        words = ("ps", "--no-trunc", "--format", "{{.ID}}", "--filter", f"label=omnitide.workload={agent}")
        (found,) = engine.docker(*words).stdout.split()
        return found

    inspect = engine.docker("inspect", container("web")).stdout
    assert '"PRICE=5 $"' in inspect
    (details,) = json.loads(inspect)
    assert details["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18081"}],
        "53/tcp": [{"HostIp": "", "HostPort": "18053"}],
        "53/udp": [{"HostIp": "", "HostPort": "18053"}],
    }
    (db,) = json.loads(engine.docker("inspect", container("db")).stdout)
    assert db["HostConfig"]["Ulimits"] == [{"Name": "nofile", "Soft": 256, "Hard": 512}]
    (network,) = db["NetworkSettings"]["Networks"].values()
    assert {"db", "Shop_DB", "store", "postgres"} <= set(network["Aliases"])
    networks = {
        agent: engine.docker(
            "inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}", container(agent)
        ).stdout.strip()
        for agent in ("web", "db")
    }
    assert networks["web"] == networks["db"] != "bridge", "they are on one network, on which names resolve"
    lone.cli("rm", "web", "db", "migrate")


NEEDS = "web: {image: 'conform:1', command: heed, depends_on: {db: {condition: service_healthy}}}\n  "
DEAD = (
    "db: {image: 'conform:1', command: [exit, '3'], restart: always, healthcheck: {test: [CMD, /conform, exit, '0']}}"
)
UNWELL = "db: {image: 'conform:1', command: heed, restart: always, healthcheck: {test: [CMD, /conform, exit, '1']}}"


@pytest.mark.parametrize(
    ("services", "options", "code", "said"),
    [
        ("a-job: {image: 'conform:1', command: [exit, '3']}", [], 8, "a-job"),
        ("looping: {image: 'conform:1', command: [exit, '3'], restart: always}", [], 8, "looping"),
        # Not started again by itself, so that nothing but its dependency could be said of it.
        (NEEDS + DEAD, ["--settle", "0s"], 8, "db"),
        (NEEDS + UNWELL, ["--timeout", "3s", "--settle", "0s"], 7, "db"),
    ],
    ids=["job", "loop", "dead-dependency", "unwell-dependency"],
)
def test_what_does_not_stay_up_is_no_success(
    crashing: Fabric, tmp_path: Path, services: str, options: list[str], code: int, said: str
) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(f"name: crash\nservices:\n  {services}\n")
    try:
        began = time.monotonic()
        told = crashing.cli("import", "compose", str(file), "--apply", "--timeout", "40s", *options, code=code).stderr
        assert time.monotonic() - began < 30, "long before the time is up"
        assert said in told.split("error: ")[-1]
        assert "logs" in told or "explain" in told
        if code == 7:
            assert " after 3 s: " in told
            assert "waits for agent db to be ready" in told or "probe (exec) has not succeeded" in told, "the reason"
    finally:
        crashing.cli("rm", *(one.name for one in crashing.client.agents()))


def test_what_runs_on_with_an_old_secret_is_told(crashing: Fabric, tmp_path: Path) -> None:
    secret, file = tmp_path / "password.txt", tmp_path / "compose.yaml"
    secret.write_text("one")
    file.write_text(
        "name: kept\nservices:\n  web: {image: 'conform:1', command: heed, secrets: [password]}\n"
        "secrets: {password: {file: ./password.txt}}\n"
    )
    apply = ("import", "compose", str(file), "--apply", "--settle", "0s")
    try:
        assert "old value" not in crashing.cli(*apply).stderr
        secret.write_text("two")
        told = crashing.cli(*apply)
        assert "secret default/password updated" in told.stdout
        assert "web runs with the old value of the secret password until it is started anew" in told.stderr
        assert "omnitide restart web" in told.stderr
        assert "old value" not in crashing.cli(*apply).stderr
    finally:
        crashing.cli("rm", "web")


DROPPED = """\
services:
  web:
    image: conform:1
    command: heed
    restart: always
    cpu_percent: 3
    secrets: [word]
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate:
    image: conform:1
    command: say migrated
secrets:
  word: {file: word.txt}
"""

DROP = """files => {
    const data = new DataTransfer();
    for (const [name, text] of files) data.items.add(new File([text], name));
    const fire = type => document.body.dispatchEvent(
        new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data }),
    );
    fire("dragover");
    return fire("drop") === false;
}"""


def test_a_project_that_is_dropped_on_a_page_of_the_panel_is_imported_and_runs(
    crashing: Fabric, engine: DockerEngine
) -> None:
    fabric = crashing
    with chromium() as browser, visit(browser, fabric) as inside:
        page = inside.page
        inside.log_in()
        inside.show("overview")
        assert page.evaluate(DROP, [["compose.yaml", DROPPED], ["word.txt", "open-sesame"]]), (
            "no browser page of its own"
        )
        expect(page.get_by_role("heading", level=1)).to_have_text("Import a Compose file")
        page.get_by_role("textbox", name="Project").fill("shop")
        expect(page.get_by_role("region", name="Project shop")).to_contain_text("2 agents, 1 not carried over")
        expect(page.get_by_role("region", name="Not carried over", exact=True)).to_contain_text("cpu_percent")
        expect(page.get_by_role("region", name="What would change")).to_contain_text("default/migrate")
        expect(page.get_by_role("region", name="Where replicas would go")).to_be_visible()
        expect(page.locator(".copied code")).to_have_text("omnitide import compose compose.yaml --name shop --apply")
        page.get_by_role("button", name="Apply all").click()
        expect(page.get_by_role("heading", name="It is done")).to_be_visible(timeout=WITHIN_MS)
        expect(page.get_by_text("secret default/word created")).to_be_visible()
        fabric.running("web", 1)
        (container,) = engine.docker("ps", "-q", "--filter", "label=omnitide.workload=web").stdout.split()
        assert "open-sesame" in engine.docker("exec", container, "/conform", "read", "/run/secrets/word").stdout
        # What is there of another's is left alone.
        page.get_by_role("textbox", name="Project").fill("other")
        expect(page.get_by_text("does not belong to the project other").first).to_be_visible(timeout=WITHIN_MS)
        expect(page.get_by_role("button", name="Apply all")).to_be_disabled()
    for name in ("web", "migrate"):
        fabric.client.delete_agent(name)
