"""Rollouts, rollbacks and moves through the installed command, over two nodes."""

import json
from pathlib import Path

from support.fabric_processes import Fabric

MANIFEST = """
kind = "agent"
name = "web"
command = ["sleep", "{seconds}"]
replicas = 2

[update]
max_unavailable = 0
max_surge = 1
min_healthy = "200ms"
on_failure = "rollback"
"""


def manifest(folder: Path, seconds: str, command: str = "sleep") -> str:
    path = folder / "web.toml"
    path.write_text(MANIFEST.format(seconds=seconds).replace('"sleep"', f'"{command}"'))
    return str(path)


def test_a_new_version_comes_before_the_old_one_goes_and_can_be_taken_back(fabric: Fabric, tmp_path: Path) -> None:
    fabric.cli("deploy", manifest(tmp_path, "1000"))
    first = {one.slot: one.id for one in fabric.running("web", 2)}
    fabric.cli("deploy", manifest(tmp_path, "2000"))
    second = fabric.running("web", 2)
    assert {one.version for one in second} == {2}
    assert {one.slot for one in second} == set(first)
    status = json.loads(fabric.cli("rollout", "status", "web", "--watch", "-o", "json").stdout)
    assert (status["verdict"], status["updated"], status["available"]) == ("done", 2, 2)
    assert "2000" in fabric.cli("history", "web").stdout
    fabric.cli("rollback", "web")
    assert {one.version for one in fabric.running("web", 2)} == {3}
    rolled = fabric.cli("rollout", "status", "web", code=8)
    assert "rolled-back" in rolled.stdout


def test_what_cannot_start_is_rolled_back_by_itself_and_told(fabric: Fabric, tmp_path: Path) -> None:
    fabric.cli("deploy", manifest(tmp_path, "1000"))
    fabric.running("web", 2)
    failed = fabric.cli("deploy", manifest(tmp_path, "1", "/no/such/program"), code=8)
    assert "rolled back" in failed.stderr or "failed" in failed.stderr
    status = fabric.cli("rollout", "status", "web", "--watch", code=8)
    assert "rolled-back" in status.stdout
    assert {one.version for one in fabric.running("web", 2)} == {3}


def test_one_replica_moves_without_a_gap(fabric: Fabric, tmp_path: Path) -> None:
    fabric.cli("deploy", manifest(tmp_path, "1000"))
    one = fabric.running("web", 2)[0]
    other = {"alpha": "beta", "beta": "alpha"}[one.node]
    told = fabric.cli("migrate", one.name, "--to", other, "--dry-run").stdout
    assert f"from {one.node} to {other}" in told
    fabric.cli("migrate", one.name, "--to", other)
    moved = next(now for now in fabric.running("web", 2) if now.slot == one.slot)
    assert (moved.node, moved.generation) == (other, one.generation + 1)
    fabric.cli("migrate", moved.name, "--to", other, code=4)
