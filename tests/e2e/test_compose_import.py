"""`omnitide import compose` through the installed command, against a real fabric."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.fabric_processes import Fabric

SHOP = """\
name: shop
services:
  web:
    image: nginx:1.27
    ports: ["8081:80"]
    environment:
      LEVEL: ${LEVEL:-info}
      PRICE: "5 $$"
    depends_on:
      db: {condition: service_healthy}
    privileged: true
  db:
    image: postgres:16
    restart: always
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready], interval: 10s, timeout: 5s}
volumes:
  data:
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    file = tmp_path / "compose.yaml"
    file.write_text(SHOP)
    return str(file)


def test_what_is_printed_can_be_applied(fabric: Fabric, shop: str, tmp_path: Path) -> None:
    told = fabric.cli("import", "compose", shop).stdout
    assert f"{shop}:11: services.web.privileged: no instance is privileged" in told
    manifests = tmp_path / "agents.yaml"
    manifests.write_text(told)
    plan = fabric.cli("apply", "-f", str(manifests), "--dry-run").stdout
    assert "+ agent default/db" in plan
    assert "+ agent default/web" in plan
    assert "2 to create" in plan


def test_json_holds_agents_and_losses_with_their_places(fabric: Fabric, shop: str) -> None:
    made = fabric.json("import", "compose", shop)
    agents: Any = made["agents"]
    web = next(one for one in agents if one["name"] == "web")
    assert web["environment"] == {"LEVEL": "info", "PRICE": "5 $$"}
    assert web["needs"] == {"db": "ready"}
    assert web["together"] == web["container"]["network"] == "shop"
    losses: Any = made["losses"]
    assert [(one["key"], one["line"], one["file"]) for one in losses] == [("services.web.privileged", 11, shop)]


def test_strict_fails_for_a_loss(fabric: Fabric, shop: str) -> None:
    assert "not carried over: 1" in fabric.cli("import", "compose", "--strict", shop, code=1).stderr


def test_a_refused_file_names_its_line(fabric: Fabric, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  web:\n    image: nginx\n    depends_on: [gone]\n")
    refused = fabric.cli("import", "compose", str(file), code=2)
    assert f"{file}:4: services.web.depends_on: there is no service 'gone'" in refused.stderr
    told = json.loads(fabric.cli("-o", "json", "import", "compose", str(file), code=2).stderr)
    assert told["errors"][0]["line"] == 4


def test_apply_deploys_once_and_again_changes_nothing(fabric: Fabric, shop: str) -> None:
    try:
        told = fabric.cli("import", "compose", shop, "--apply", "--no-wait").stdout
        assert told.index("default/db") < told.index("default/web"), "what is waited for comes first"
        web = fabric.client.get_agent("web").spec
        assert web.labels == {"compose.project": "shop"}
        assert web.container is not None
        assert web.container.image == "nginx:1.27"
        assert web.needs == {"db": "ready"}
        again = fabric.json("import", "compose", shop, "--apply", "--no-wait")
        changes: Any = again
        assert [one["change"] for one in changes] == ["unchanged", "unchanged"]
    finally:
        fabric.cli("rm", "web", "db", code=None)


def test_apply_looks_for_the_namespace_before_anything_else(fabric: Fabric, shop: str) -> None:
    refused = fabric.cli("import", "compose", shop, "--apply", "--namespace", "nowhere", code=3)
    assert "there is no namespace 'nowhere'" in refused.stderr
    assert "shop" not in refused.stdout + refused.stderr, "nothing was planned"


def test_apply_creates_secrets_and_configs_whose_values_are_at_hand(fabric: Fabric, tmp_path: Path) -> None:
    (tmp_path / "password.txt").write_text("hunter2-from-the-file")
    file = tmp_path / "compose.yaml"
    file.write_text(
        "name: held\n"
        "services:\n  held-one: {image: nginx, secrets: [pass_word], configs: [settings]}\n"
        "secrets: {pass_word: {file: ./password.txt}}\n"
        "configs: {settings: {content: 'a=1'}}\n"
    )
    try:
        told = fabric.cli("import", "compose", str(file), "--apply", "--no-wait")
        assert "secret default/pass-word created" in told.stdout
        assert "hunter2" not in told.stdout + told.stderr
        assert fabric.client.get_secret("default", "pass-word").size_bytes == len("hunter2-from-the-file")
        assert fabric.client.get_config("default", "settings").used_by == ("agent default/held-one",)
        again = fabric.cli("import", "compose", str(file), "--apply", "--no-wait").stdout
        assert "secret default/pass-word unchanged" in again
    finally:
        fabric.cli("rm", "held-one", code=None)


def test_apply_leaves_other_agents_alone(fabric: Fabric, shop: str, tmp_path: Path) -> None:
    mine = tmp_path / "db.toml"
    mine.write_text('name = "db"\ncommand = ["sleep", "1000"]\n')
    fabric.cli("deploy", str(mine), "--replicas", "0")
    try:
        refused = fabric.cli("import", "compose", shop, "--apply", code=4)
        assert "does not belong to the project shop" in refused.stderr
        assert fabric.client.get_agent("db").spec.command == ("sleep", "1000")
        fabric.cli("inspect", "web", code=3)
    finally:
        fabric.cli("rm", "db")
