"""Ports of a fabric: looked at before anything is stopped, put back where they cannot be had, kept over `down`."""

import json
import re
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from support.fabric_processes import Fabric, alive

pytestmark = pytest.mark.timeout(300)

FREE = ("--api-port", "0", "--node-port", "0", "--grpc-port", "0")


@pytest.fixture
def lone(tmp_path: Path) -> Generator[Fabric]:
    """Not started yet."""
    bytecode = Path(__file__).parents[3] / ".pytest_cache" / "bytecode"
    with Fabric(tmp_path / "fabric", bytecode=bytecode) as fabric:
        yield fabric


def free_ports() -> dict[str, str]:
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        found: dict[str, str] = {}
        for kind, probe in (("api", one), ("node", two), ("grpc", three)):
            probe.bind(("127.0.0.1", 0))
            found[kind] = str(probe.getsockname()[1])
        return found


def flags(ports: dict[str, str]) -> list[str]:
    return [word for kind, port in ports.items() for word in (f"--{kind}-port", port)]


def ports_of(fabric: Fabric) -> dict[str, str]:
    ready = fabric.ready()
    found = {"api": ready["url"], "node": ready["node_endpoint"], "grpc": ready["grpc_endpoint"]}
    return {kind: place.rpartition(":")[2] for kind, place in found.items()}


def test_a_port_that_is_taken_stops_nothing(lone: Fabric) -> None:
    ports = free_ports()
    lone.cli("up", *flags(ports), "--nexus-only")
    nexus = lone.nexus_pid()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ran = lone.cli("up", "--nexus-only", "--api-port", str(taken), code=1)
    assert f"127.0.0.1:{taken} is taken by process" in ran.stderr
    assert "nothing was changed" in ran.stderr
    assert lone.nexus_pid() == nexus
    assert alive(nexus)
    assert "already up" in lone.cli("up", "--nexus-only").stdout
    assert ports_of(lone) == ports


def test_where_the_new_nexus_does_not_come_up_the_one_before_goes_on_with_what_it_was_told(lone: Fabric) -> None:
    ports = free_ports()
    lone.cli("up", *flags(ports), "--nexus-only")
    nexus = lone.nexus_pid()
    # Nexus has the port, so it cannot be looked at, and at another address somebody else has it.
    with socket.socket() as other:
        other.bind(("127.0.0.2", int(ports["api"])))
        other.listen()
        ran = lone.cli("up", "--nexus-only", "--listen", "127.0.0.2", code=1)
    assert f"127.0.0.2:{ports['api']} is taken" in ran.stderr
    assert "Nexus runs again with the settings that it had" in ran.stderr
    assert lone.nexus_pid() != nexus
    assert ports_of(lone) == ports
    assert lone.json("status")["fabric_id"]
    assert "already up" in lone.cli("up", "--nexus-only").stdout
    lone.cli("down")
    lone.cli("up", "--nexus-only")
    assert ports_of(lone) == ports


def test_ports_that_could_be_any_are_kept_over_down(lone: Fabric) -> None:
    lone.cli("up", *FREE, "--nexus-only")
    ports = ports_of(lone)
    lone.cli("down")
    lone.cli("up", "--nexus-only")
    assert ports_of(lone) == ports


def test_ports_are_kept_over_down_until_told_otherwise(lone: Fabric) -> None:
    ports = free_ports()
    lone.cli("up", *flags(ports), "--nexus-only")
    lone.cli("down")
    lone.cli("up", "--nexus-only")
    assert ports_of(lone) == ports
    # A start that fails changes nothing of it either.
    lone.cli("down")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        lone.cli("up", "--nexus-only", "--api-port", str(other.getsockname()[1]), code=1)
    lone.cli("up", "--nexus-only")
    assert ports_of(lone) == ports
    lone.cli("down")
    others = free_ports()
    lone.cli("up", "--nexus-only", "--node-port", others["node"])
    assert ports_of(lone) == {**ports, "node": others["node"]}


def test_another_port_for_nodes_is_a_warning_that_says_how_many_know_the_old_one(lone: Fabric) -> None:
    ports = free_ports()
    told = lone.cli("up", *flags(ports), "--name", "alpha")
    assert "warning" not in told.stderr
    lone.join("beta", url=lone.url)
    lone.cli("down", name="beta")
    other = free_ports()["node"]
    told = lone.cli("up", "--node-port", other)
    assert re.search(rf"warning: the port for nodes was {ports['node']} and is {other} now: 1 node knows", told.stderr)
    assert f"--node-port {ports['node']}" in told.stderr
    lone.cli("down")
    back = lone.cli("up", "--node-port", ports["node"])
    assert f"was {other} and is {ports['node']} now" in back.stderr, "also over down"
    assert "warning" not in lone.cli("up").stderr
    assert json.loads((lone.data() / "told.json").read_text())["node_endpoint"].endswith(f":{ports['node']}")
