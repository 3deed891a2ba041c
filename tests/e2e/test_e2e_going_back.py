"""A rollback over real processes: what runs the spec that is gone back to is the same process afterwards."""

import json
from pathlib import Path

from omnitide.model.objects import Instance
from support.fabric_processes import Fabric, alive

MANIFEST = """
name = "kept"
command = {command}
replicas = 3

[update]
max_unavailable = {away}
max_surge = {surge}
on_failure = "{then}"
"""
SLEEPS = '["sleep", "1000"]'
BROKEN = '["/no/such/program"]'


def manifest(folder: Path, command: str, *, away: int = 1, surge: int = 0, then: str = "halt") -> str:
    path = folder / "kept.toml"
    path.write_text(MANIFEST.format(command=command, away=away, surge=surge, then=then))
    return str(path)


def processes(instances: list[Instance]) -> dict[str, tuple[str, int]]:
    return {one.id: (one.handle, one.attempt) for one in instances}


def test_a_rollback_of_what_is_halted_replaces_what_cannot_run_alone(fabric: Fabric, tmp_path: Path) -> None:
    fabric.cli("deploy", manifest(tmp_path, SLEEPS))
    before = processes(fabric.running("kept", 3))
    told = fabric.cli("deploy", manifest(tmp_path, BROKEN), code=8).stderr
    assert "it stays deployed, and goes back by: omnitide rollback kept" in told
    halted = processes(fabric.instances("kept", status="running"))
    assert len(halted) == 2
    assert halted.items() <= before.items()
    fabric.cli("rollback", "kept")
    after = fabric.running("kept", 3)
    assert halted.items() <= processes(after).items(), "the same instances and processes"
    assert all(alive(int(handle)) for handle, _ in halted.values())
    assert {one.version for one in after} == {3}
    status = json.loads(fabric.cli("rollout", "status", "kept", "-o", "json", code=8).stdout)
    assert (status["verdict"], status["updated"], status["available"]) == ("rolled-back", 3, 3)
    assert fabric.client.get_agent("kept").status == "running"


def test_the_file_of_before_keeps_what_still_runs_it(fabric: Fabric, tmp_path: Path) -> None:
    fabric.cli("deploy", manifest(tmp_path, SLEEPS))
    fabric.running("kept", 3)
    fabric.cli("deploy", manifest(tmp_path, BROKEN), code=8)
    halted = processes(fabric.instances("kept", status="running"))
    assert len(halted) == 2
    told = fabric.cli("deploy", manifest(tmp_path, SLEEPS)).stdout
    assert "    2 of 3 replicas run this spec already, and are kept as they are\n" in told
    after = fabric.running("kept", 3)
    assert halted.items() <= processes(after).items(), "the same instances and processes"
    assert all(alive(int(handle)) for handle, _ in halted.values())
    assert {one.version for one in after} == {3}
    status = json.loads(fabric.cli("rollout", "status", "kept", "-o", "json").stdout)
    assert (status["verdict"], status["reason"], status["updated"]) == ("done", "updated", 3)


def test_what_the_fabric_rolls_back_by_itself_beside_a_surge_loses_nothing(fabric: Fabric, tmp_path: Path) -> None:
    fabric.cli("deploy", manifest(tmp_path, SLEEPS))
    before = processes(fabric.running("kept", 3))
    told = fabric.cli("deploy", manifest(tmp_path, BROKEN, away=0, surge=1, then="rollback"), code=8).stderr
    assert "3 of 3 replicas run it as version 3" in told
    after = fabric.running("kept", 3)
    assert processes(after) == before
    assert {one.version for one in after} == {3}
