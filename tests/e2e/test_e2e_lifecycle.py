"""Rollouts, rollbacks and moves through the installed command, over two nodes."""

import json
import re
from pathlib import Path

import pytest

from omnitide.sdk.errors import NotFound
from support.fabric_processes import Fabric, until

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


def written(folder: Path, name: str, **parts: str) -> str:
    path = folder / f"{name}.toml"
    tables = "".join(f"\n[{part.replace('_', '.')}]\n{lines}\n" for part, lines in parts.items() if part != "top")
    path.write_text(f'name = "{name}"\n{parts.get("top", "")}\n{tables}')
    return str(path)


CRASHES = 'policy = "on-failure"\nattempts = 2\nbackoff = "100ms"\n'
NEVER_READY = 'type = "exec"\ncommand = ["/bin/sh", "-c", "echo still warming up; exit 1"]\ninterval = "200ms"\n'
GOES_UNDER = 'command = ["sh", "-c", "echo going under; exit 3"]'
SAYS = 'command = ["sh", "-c", "echo here I am; exec sleep 1000"]'
SLEEPS = 'command = ["sleep", "1000"]'


def test_a_deployment_that_is_rolled_back_waits_for_the_way_back_and_says_how_it_ended(
    fabric: Fabric, tmp_path: Path
) -> None:
    update = 'on_failure = "rollback"\nmin_healthy = "300ms"'
    fabric.cli("deploy", written(tmp_path, "loop", top=SAYS, update=update, restart=CRASHES))
    crashing = written(tmp_path, "loop", top=GOES_UNDER, update=update, restart=CRASHES)
    told = fabric.cli("deploy", crashing, code=8).stderr
    assert "loop: version 2 was rolled back to version 1: loop-1." in told
    assert "ended 3 times in a row before it was available: exit code 3" in told
    assert "1 of 1 replicas run it as version 3" in told
    assert "it stays deployed" not in told
    assert_output_outlives_what_wrote_it(fabric, told)


def assert_output_outlives_what_wrote_it(fabric: Fabric, told: str) -> None:
    """What was replaced by a way back, what was stopped, and what was removed: of the agent `loop`."""
    named = re.search(r"omnitide logs (loop-1\.\d+)\n", told)
    assert named is not None, told
    gone, old = named[1], fabric.running("loop", 1)[0]
    cause = re.search(r"version 1: (loop-1\.\d+) of", told)
    assert cause is not None, told
    assert gone not in (old.name, cause[1])
    assert f"the one before it: omnitide logs {gone}\n" in fabric.cli("logs", cause[1], code=3).stderr
    assert "going under" in fabric.cli("logs", gone).stdout
    assert "going under" in fabric.cli("logs", "-f", gone, "--tail", "1").stdout, "it ends where that does"
    fabric.cli("stop", "loop")
    assert fabric.cli("logs", "loop", "--tail", "1", "--no-prefix").stdout == "here I am\n"
    fabric.cli("rm", "loop")
    assert "".join(chunk.text for chunk in fabric.client.read_logs(old.id)) == "here I am\n"
    assert "here I am" in fabric.cli("logs", "-f", "loop").stdout
    assert "going under" in fabric.cli("logs", gone).stdout
    assert "there is no instance 'loop-1.99'" in fabric.cli("logs", "loop-1.99", code=3).stderr
    with pytest.raises(NotFound, match="none of 2 nodes that were asked"):
        list(fabric.client.read_logs(f"{old.workload_id}.1.99"))


def test_what_is_never_ready_is_rolled_back_after_its_deadline(fabric: Fabric, tmp_path: Path) -> None:
    update = 'on_failure = "rollback"\nmin_healthy = "100ms"\nprogress_deadline = "1500ms"'
    fabric.cli("deploy", written(tmp_path, "warm", top=SLEEPS, update=update))
    told = fabric.cli(
        "deploy", written(tmp_path, "warm", top=SLEEPS, update=update, health_readiness=NEVER_READY), code=8
    )
    assert "was not available within 1.5 s: it is not ready (" in told.stderr
    assert "still warming up" in told.stderr
    assert "1 of 1 replicas run it as version 3" in told.stderr


def test_a_first_version_that_is_never_ready_is_told_after_its_deadline(fabric: Fabric, tmp_path: Path) -> None:
    update = 'progress_deadline = "1s"'
    first = written(tmp_path, "cold", top=SLEEPS, update=update, health_readiness=NEVER_READY)
    told = fabric.cli("deploy", first, code=8).stderr
    assert "cold is not ready within 1 s (0 of 1 replicas are)" in told
    assert "still warming up" in told
    status = fabric.cli("rollout", "status", "cold", "--watch", code=8).stdout
    assert re.search(r"cold-1\.1 is not available after 1 s: it is not ready \(.*still warming up", status)
    assert "rollback" not in status, "there is nothing to go back to"


def test_what_waits_for_what_was_given_up_says_so(fabric: Fabric, tmp_path: Path) -> None:
    restart = 'policy = "on-failure"\nattempts = 1\nreschedules = 0\nbackoff = "100ms"'
    fails = written(tmp_path, "setup", top='command = ["sh", "-c", "exit 4"]', restart=restart)
    fabric.cli("deploy", fails, code=8)
    until(lambda: fabric.client.get_agent("setup").counts.failed == 1, "it is given up")
    assert "restart.reschedules" in fabric.cli("explain", "setup").stdout
    told = fabric.cli("deploy", written(tmp_path, "shop", top=SLEEPS, needs='setup = "completed"'), code=8).stderr
    assert "setup-1.1 has failed for good" in told
    assert "setup-1.1 has failed for good" in fabric.cli("explain", "shop").stdout


def test_what_another_waits_for_to_succeed_is_followed_to_its_end(fabric: Fabric, tmp_path: Path) -> None:
    """It runs for longer than a look at it takes, and than an agent may take to be up."""
    restart, update = 'policy = "on-failure"', 'progress_deadline = "500ms"'
    first = written(tmp_path, "migrate", top='command = ["sleep", "2"]', restart=restart, update=update)
    then = written(tmp_path, "shop", top=SLEEPS, needs='migrate = "completed"')
    told = fabric.cli("apply", "-f", first, "-f", then).stdout
    assert "migrate has ended well in" in told
    assert told.index("migrate has ended well") < told.index("shop 1/1 running")
    alone = fabric.cli("deploy", written(tmp_path, "once", top='command = ["sleep", "30"]', restart=restart)).stdout
    assert "once 1/1 running in" in alone, "nobody waits for its end"


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
