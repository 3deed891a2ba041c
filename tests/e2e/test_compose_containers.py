"""A Compose file imported with --apply: its containers really run, on a real engine, in the order that it says."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from support.container_engine import DockerEngine, built, engine_in
from support.fabric_processes import Fabric

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
