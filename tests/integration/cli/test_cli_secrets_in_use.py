"""`omnitide secret rm` and `config rm` of what agents use: who would miss it is named, and --force does it."""

import json

import pytest
from tests.integration.cli.fabric import MemoryFabric

USE = {
    "secret": '[secrets.db]\nenvironment = "DB"\n',
    "config": '[configs.db]\nfile = "db"\n',
}


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_what_agents_use_is_kept_and_they_are_named(fabric: MemoryFabric, kind: str) -> None:
    fabric.cli(kind, "set", "db", stdin="word")
    (fabric.folder / "web.toml").write_text(f'name = "web"\ncommand = ["x"]\n{USE[kind]}')
    fabric.cli("deploy", "web.toml", "--no-wait")
    refused = fabric.cli(kind, "rm", "db", code=4).stderr
    assert f"agent default/web could not be started again without the {kind} default/db" in refused
    assert "--force" in refused
    told = json.loads(fabric.cli(kind, "rm", "db", "-o", "json", code=4).stderr)
    assert (told["code"], told["used_by"]) == ("conflict", ["agent default/web"])
    assert "default/db deleted" in fabric.cli(kind, "rm", "db", "--force").stdout
    assert f"there is no {kind}" in fabric.cli(kind, "rm", "db", code=3).stderr
