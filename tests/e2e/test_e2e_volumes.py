"""Volumes on nodes, through the command: what is there, who uses it, and to be rid of what nobody does."""

from pathlib import Path
from typing import Any

import pytest

from omnitide.sdk.errors import Conflict, NotFound
from support.fabric_processes import Fabric, until

KEEPER = """
name = "keeper"
command = ["sh", "-c", "head -c 100000 /dev/zero > store/file; mkdir -m 500 store/closed; exec sleep 100000"]
[volumes.ours]
target = "store"
[[constraints]]
label = "node"
values = ["alpha"]
"""


@pytest.fixture
def kept(fabric: Fabric) -> Path:
    """The folder of a volume that a running agent has."""
    (fabric.folder / "keeper.toml").write_text(KEEPER)
    fabric.cli("deploy", "keeper.toml")
    fabric.running("keeper", 1)
    (folder,) = fabric.data().rglob("volumes/default/ours")
    until(lambda: (folder / "closed").is_dir(), "it has written")
    return folder


def listed(fabric: Fabric, *words: str) -> list[dict[str, Any]]:
    found: Any = fabric.json("volume", "ls", *words)
    return [one for one in found["items"] if one["name"] == "ours"]


def test_a_volume_is_listed_with_its_users_and_goes_when_it_has_none(fabric: Fabric, kept: Path) -> None:
    (one,) = listed(fabric)
    (running,) = fabric.running("keeper", 1)
    assert (one["namespace"], one["name"], one["node"]) == ("default", "ours", "alpha")
    assert (one["used_by"], one["instances"]) == (["agent default/keeper"], [running.name])
    assert 100_000 <= one["size_bytes"] < 200_000
    assert listed(fabric, "--node", "beta") == listed(fabric, "--orphans") == []
    assert "no namespace 'elsewhere'" in fabric.cli("volume", "ls", "-n", "elsewhere", code=3).stderr

    assert running.name in fabric.cli("volume", "rm", "ours", "--force", code=4).stderr
    fabric.cli("stop", "keeper")
    until(lambda: not listed(fabric)[0]["instances"], "it has stopped")
    refused = fabric.cli("volume", "rm", "ours", code=4).stderr
    assert "agent default/keeper" in refused
    assert "--force" in refused
    assert (kept / "file").is_file()

    fabric.cli("rm", "keeper")
    until(lambda: listed(fabric, "--orphans"), "nobody would miss it")
    assert_a_plan_says_where_it_is(fabric)
    assert "could be removed" in fabric.cli("volume", "rm", "ours", "--dry-run").stdout
    assert kept.is_dir()
    assert "default/ours removed from alpha" in fabric.cli("volume", "rm", "ours").stdout
    assert not kept.exists()
    assert list((kept.parents[1] / ".removed").iterdir()) == []
    assert listed(fabric) == []
    assert "no volume default/ours" in fabric.cli("volume", "rm", "ours", code=3).stderr
    assert "no volume default/ours" in fabric.cli("volume", "rm", "ours", "--node", "alpha", code=3).stderr


def assert_a_plan_says_where_it_is(fabric: Fabric) -> None:
    """An agent that comes again may be placed elsewhere, and would begin anew there without a word."""
    constraint = KEEPER[KEEPER.index("[[") :]
    free = fabric.folder / "free.toml"
    free.write_text(KEEPER.replace(constraint, ""))
    told = fabric.cli("apply", "-f", "free.toml", "--dry-run").stderr
    assert fabric.cli("deploy", "free.toml", "--dry-run").stderr == told
    assert "volume default/ours is on node alpha" in told
    free.write_text(told.rpartition(":  ")[2] + free.read_text())
    assert not fabric.cli("deploy", "free.toml", "--dry-run").stderr


def test_the_client_says_the_same_and_forced_is_not_while_it_is_used(fabric: Fabric, kept: Path) -> None:
    with pytest.raises(Conflict):
        fabric.client.remove_volume("alpha", "ours", force=True)
    with pytest.raises(NotFound):
        fabric.client.remove_volume("alpha", "nothing")
    assert "ours" in [one.name for one in fabric.client.volumes(node="alpha")]
    fabric.cli("stop", "keeper")
    until(lambda: not listed(fabric)[0]["instances"], "it has stopped")
    assert fabric.client.remove_volume("alpha", "ours", force=True).name == "ours"
    assert not kept.exists()
