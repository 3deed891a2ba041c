"""deploy/systemd: units that systemd accepts, that say what the programs understand, and that keep instances alive."""

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from omnitide.api import process as nexus
from omnitide.model.spec import AgentSpec, Resources
from omnitide.node import main as node
from omnitide.node.driver_places import KEEPER_DIRECTORY
from support.fabric_processes import Fabric, alive, until

UNITS = Path(__file__).parents[3] / "deploy" / "systemd"
NAMES = ("omnitide-nexus.service", "omnitide-node.service", "omnitide-keeper.service")
NEXUS, NODE, KEEPER = NAMES
PYTHON = "/opt/omnitide/bin/python"
NEWER = ("RestartSteps", "RestartMaxDelaySec")
"""What systemd knows since 254, and says that it does not before."""


def read(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # keys of units have capitals
    unit.read_string((UNITS / name).read_text())
    return unit


@pytest.mark.parametrize("name", NAMES)
def test_systemd_accepts_the_unit(name: str, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    for unit in NAMES:
        # The program must be there: it is this very Python, at the place that the units name.
        (tmp_path / unit).write_text((UNITS / unit).read_text().replace(PYTHON, sys.executable))
    ran = subprocess.run([verify, "verify", str(tmp_path / name)], capture_output=True, text=True, check=False)
    said = [line for line in (ran.stdout + ran.stderr).splitlines() if not any(f"'{key}'" in line for key in NEWER)]
    if said and "Failed to" in said[0] and "bus" in said[0]:
        pytest.skip(f"systemd-analyze cannot work here: {said[0]}")
    assert said == []
    assert ran.returncode == 0


def test_a_unit_that_is_wrong_would_be_seen(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze here: apt-get install systemd")
    text = (UNITS / NODE).read_text().replace(PYTHON, sys.executable).replace("KillMode=process", "KillMode=proces")
    (tmp_path / NODE).write_text(text)
    ran = subprocess.run([verify, "verify", str(tmp_path / NODE)], capture_output=True, text=True, check=False)
    assert "kill mode" in ran.stdout + ran.stderr


def command(name: str) -> list[str]:
    words = shlex.split(read(name)["Service"]["ExecStart"])
    assert words[0] == PYTHON
    return [sys.executable, *words[1:]]


@pytest.mark.parametrize("name", [NEXUS, NODE])
def test_the_command_exists_with_its_flags(name: str) -> None:
    words = command(name)
    end = words.index("-m") + 2
    flags = [word for word in words[end:] if word.startswith("--")]
    ran = subprocess.run([*words[:end], "--help"], capture_output=True, text=True, check=True)
    assert flags
    assert [flag for flag in flags if flag not in ran.stdout] == []


def test_a_node_uses_the_keeper_that_its_unit_has_started(tmp_path: Path) -> None:
    with Fabric(tmp_path / "fabric") as fabric:
        place = str(fabric.data() / "node")
        Path(place).mkdir(parents=True, mode=0o700)
        words = [word.replace("/var/lib/omnitide/node", place) for word in command(KEEPER)]
        keeper = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
        try:
            assert keeper.stdout is not None
            assert keeper.stdout.readline() == b"ready\n"
            fabric.up()
            spec = AgentSpec(command=("sleep", "100000"), resources=Resources(cpu=1, memory=1 << 20))
            fabric.client.deploy_agent("sleeper", spec, replicas=1)
            (one,) = fabric.running("sleeper", 1)
            assert psutil.Process(int(one.handle)).ppid() == keeper.pid
            proxy = fabric.proxy_pid()
            os.kill(proxy, signal.SIGKILL)
            fabric.new_proxy(proxy)
            assert [again.handle for again in fabric.running("sleeper", 1)] == [one.handle]
            # As systemd stops it: what it runs ends with it.
            keeper.terminate()
            assert keeper.wait(60) == 0
            until(lambda: not alive(int(one.handle)), "its instance has ended")
        finally:
            keeper.kill()
            keeper.wait()


def test_data_lies_where_the_command_line_looks_for_it_as_root() -> None:
    for name, flag, place in ((NEXUS, "--data", "nexus"), (NODE, "--data", "node"), (KEEPER, "--directory", "node")):
        words = command(name)
        said = words[words.index(flag) + 1]
        assert said == (
            f"/var/lib/omnitide/{place}/{KEEPER_DIRECTORY}" if name == KEEPER else f"/var/lib/omnitide/{place}"
        )
        assert read(name)["Service"]["StateDirectory"] == f"omnitide/{place}"


def test_what_cannot_be_mended_by_a_restart_is_not_restarted() -> None:
    told = {name: set(read(name)["Service"]["RestartPreventExitStatus"].split()) for name in (NEXUS, NODE)}
    assert told[NEXUS] == {str(code) for code in (nexus.EXIT_USAGE, nexus.EXIT_UNUSABLE, nexus.EXIT_HELD)}
    codes = (node.EXIT_USAGE, node.EXIT_REMOVED, node.EXIT_UNUSABLE, node.EXIT_HELD)
    assert told[NODE] == {str(code) for code in codes}
    for name in told:
        assert read(name)["Service"]["Restart"] == "always"
        assert read(name)["Unit"]["StartLimitIntervalSec"] == "0"


def test_instances_outlive_the_proxy_and_have_groups_of_their_own() -> None:
    """On cgroup v2 a unit cannot be started again while groups with limits live below it: not the proxy's, then."""
    for name in (NODE, KEEPER):
        assert read(name)["Service"]["KillMode"] == "process"
    assert read(KEEPER)["Service"]["Delegate"] == "yes"
    assert "Delegate" not in read(NODE)["Service"]
    assert KEEPER in read(NODE)["Unit"]["Wants"].split()
    assert KEEPER in read(NODE)["Unit"]["After"].split()
    inherited = ("Protect", "Private", "NoNewPrivileges", "SystemCall", "Capability", "Restrict", "OOMScore", "User")
    for name in (NODE, KEEPER):
        assert [key for key in read(name)["Service"] if key.startswith(inherited)] == []
