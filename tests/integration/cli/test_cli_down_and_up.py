"""`down` and `up`: an end that was asked for is no crash."""

import os
import re
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

from support.fabric_processes import Fabric, alive, freeze, until

pytestmark = pytest.mark.timeout(300)

AGENT = """
name = "sleeper"
command = ["sleep", "100000"]
[resources]
cpu = 0.01
memory = "1MiB"
[restart]
backoff = "10m"
backoff_max = "10m"
"""


@pytest.fixture
def lone(tmp_path: Path) -> Generator[Fabric]:
    """Not started yet."""
    bytecode = Path(__file__).parents[3] / ".pytest_cache" / "bytecode"
    with Fabric(tmp_path / "fabric", bytecode=bytecode) as fabric:
        yield fabric


def test_down_and_up_again_and_again_is_no_failure(lone: Fabric) -> None:
    lone.up()
    manifest = lone.folder / "agent.toml"
    manifest.write_text(AGENT)
    lone.cli("deploy", str(manifest))
    for _ in range(2):
        lone.cli("down")
        lone.up()
        # A back-off would be of ten minutes.
        lone.running("sleeper", 1)
    assert "before:" not in lone.cli("ps").stdout
    assert "sleeper" not in lone.cli("status").stdout, "nothing of it wants an eye"
    told = lone.cli("events").stdout
    assert len(re.findall(r"sleeper-1\.1 was stopped, as asked; starts again", told)) == 2, told
    assert "SIGTERM" not in told
    explained = lone.cli("explain", "sleeper").stdout
    assert "was stopped with its node, which was taken down, " in explained, explained

    # All at once, as by somebody who ends whatever he finds: what `up` starts then, by whichever hand, it says.
    for pid in (lone.supervisor_pid(), lone.nexus_pid(), lone.proxy_pid(), lone.keeper_pid()):
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not alive(pid), "it is gone")
    told = lone.json("up")
    assert told["started"]
    assert not lone.json("up")["started"]


def test_a_node_that_was_stopped_is_told_apart_from_one_that_was_killed(lone: Fabric) -> None:
    lone.up()
    manifest = lone.folder / "agent.toml"
    manifest.write_text(AGENT)
    lone.cli("deploy", str(manifest))
    lone.cli("down", "--keep-agents")
    lone.cli("up", "--nexus-only")
    (node,) = lone.json("nodes")["items"]
    assert node["stopped_ms"] > 0
    for shown in (lone.cli("nodes").stdout, lone.cli("ps").stdout, lone.cli("status").stdout):
        assert "stopped by its operator" in shown
        assert "back within" not in shown
    assert "stopped by its operator; what runs there may go on" in lone.cli("events").stdout
    assert "0 live, 1 stopped" in lone.cli("status").stdout
    counted = lone.json("status")["nodes"]
    assert isinstance(counted, dict)
    assert {kind: number for kind, number in counted.items() if number} == {"stopped": 1}
    foreseen = lone.cli("drain", node["name"], "--dry-run").stdout
    assert "1 replica would not hear of it and stay: nothing is heard from its node" in foreseen
    assert f"node {node['name']} was stopped by its operator: it is replaced once it counts as lost" in foreseen

    lone.up()
    (node,) = lone.json("nodes")["items"]
    assert (node["status"], node.get("stopped_ms", 0)) == ("live", 0)
    # However long the next look takes, what it ran is not lost by then.
    manifest.write_text(f'lost_after = "10m"\n{AGENT}')
    lone.cli("deploy", str(manifest))
    # Its supervisor first, which would start another.
    for pid in (lone.supervisor_pid(), lone.proxy_pid()):
        os.kill(pid, signal.SIGKILL)
    until(lambda: lone.json("nodes")["items"][0]["status"] in ("unreachable", "lost"), "its lease has run out")
    (node,) = lone.json("nodes")["items"]
    assert node.get("stopped_ms", 0) == 0
    assert f"node {node['name']} has not been heard from" in lone.cli("ps").stdout


def test_while_nexus_does_not_answer_status_says_what_this_machine_knows(lone: Fabric) -> None:
    ports = ("--api-port", "0", "--node-port", "0", "--grpc-port", "0")
    lone.cli("up", *ports, "--name", "alpha")
    refused = lone.cli("up", "--name", "foo", code=4)
    assert "this node is called alpha" in refused.stderr
    assert "omnitide leave" in refused.stderr
    assert "already up" in lone.cli("up", "--name", "alpha").stdout

    nexus, proxy, supervisor = lone.nexus_pid(), lone.proxy_pid(), lone.supervisor_pid()
    freeze(nexus)
    lone.cli("down", "--keep-agents")
    assert not alive(nexus)
    told = lone.cli("status", code=5).stderr
    assert "as it was ended" in told
    assert "supervisor: not running; its log: " in told
    assert f"Nexus: not to run: it was ended on request; its log: {lone.data() / 'nexus.log'}" in told
    assert "hint:  omnitide up" in told
    del proxy, supervisor

    # As after an `up` that was interrupted before Nexus served.
    lone.cli("up")
    (lone.data() / "profile.json").unlink()
    told = lone.cli("status", code=5).stderr
    assert f"supervisor: process {lone.supervisor_pid()}; its log: {lone.data() / 'supervisor.log'}" in told
    assert f"Nexus: process {lone.nexus_pid()}, 0 restarts" in told
    assert f"node proxy: process {lone.proxy_pid()}, 0 restarts" in told
    told = lone.cli("ps", code=2).stderr
    assert "has been begun" in told
    assert "omnitide up goes on with it" in told
    lone.cli("up")
    until(lambda: lone.cli("status", code=None).returncode == 0, "it is known again")
