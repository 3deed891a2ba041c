"""What a node says of its machine; limits of containers; one proxy a directory."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Literal

import psutil
import pytest

from omnitide.drivers.protocol import PortBinding
from omnitide.node.container import Ceiling, ceiling
from omnitide.node.host import MachineHost, address_towards


def host(tmp_path: Path, **how: object) -> MachineHost:
    return MachineHost("alpha", tmp_path, labels={"zone": "a"}, ports=(20_000, 20_999), **how)  # type: ignore[arg-type]


def test_facts_are_those_of_this_machine(tmp_path: Path) -> None:
    facts = host(tmp_path).facts()
    assert facts.name == "alpha"
    assert facts.labels == {"zone": "a"}
    assert 0 < facts.cpu_milli <= 1000 * (os.cpu_count() or 1)
    assert 0 < facts.memory_bytes <= psutil.virtual_memory().total
    assert facts.disk_bytes == psutil.disk_usage(str(tmp_path)).total
    assert (facts.port_first, facts.port_last) == (20_000, 20_999)
    assert {"os", "arch", "host", "kernel", "python", "cpus"} <= facts.platform.keys()
    assert facts == host(tmp_path).facts(), "facts that do not change compare equal, else they would be sent for ever"


def test_what_is_reserved_for_the_host_is_not_offered(tmp_path: Path) -> None:
    whole = host(tmp_path).facts()
    part = host(tmp_path, reserve_cpu_milli=300, reserve_memory_bytes=1 << 20).facts()
    assert whole.cpu_milli - part.cpu_milli == 300
    assert whole.memory_bytes - part.memory_bytes == 1 << 20
    assert host(tmp_path, reserve_cpu_milli=10**9).facts().cpu_milli == 0


def test_use_is_measured(tmp_path: Path) -> None:
    use = host(tmp_path).use()
    assert 0 < use.memory_used_bytes < psutil.virtual_memory().total
    assert use.disk_used_bytes > 0
    assert 0 <= use.cpu_milli_used <= 1000 * (psutil.cpu_count() or 1)
    assert use.load_milli >= 0


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_listened_on_is_busy_whatever_the_interface(tmp_path: Path, address: str) -> None:
    with socket.create_server((address, 0)) as server:
        taken = bound(server.getsockname()[1])
        with socket.create_server(("127.0.0.1", 0)) as other:
            free = bound(other.getsockname()[1])
        assert host(tmp_path).busy_port((free, taken)) == taken.host
        assert host(tmp_path).busy_port((free,)) is None
    assert host(tmp_path).busy_port((taken,)) is None


def test_a_port_is_busy_for_its_protocol_and_address_alone(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        tcp, udp = server.getsockname()[1], datagrams.getsockname()[1]
        asked = host(tmp_path).busy_port
        assert asked((bound(tcp, "udp"),)) is None
        assert asked((bound(udp, "udp"),)) == udp
        assert asked((bound(tcp, host_ip="127.0.0.2"),)) is None
        assert asked((bound(tcp, host_ip="127.0.0.1"),)) == tcp
        assert asked((bound(tcp, host_ip="192.0.2.7"),)) is None, "not this machine's: whoever binds it says so"


def bound(number: int, protocol: Literal["tcp", "udp"] = "tcp", host_ip: str = "") -> PortBinding:
    return PortBinding(name="a", host=number, target=number, protocol=protocol, host_ip=host_ip)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:7401", "localhost:7401", "[::1]:7401"])
def test_towards_a_nexus_on_this_machine_the_address_is_loopback(endpoint: str) -> None:
    assert address_towards(endpoint) in ("127.0.0.1", "::1")


@pytest.mark.parametrize("endpoint", ["", "nexus.example:7401"])
def test_towards_a_name_it_is_the_address_of_the_default_route(endpoint: str) -> None:
    assert socket.inet_aton(address_towards(endpoint))


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_max", ".max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_the_lowest_limit_above_the_process_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/box/app\n")
    root = tmp_path / "cgroup"
    write(root, box__cpu_max="150000 100000", box__app__cpu_max="max 100000")
    write(root, box__memory_max="1073741824", box__app__memory_max="536870912")
    assert ceiling(root, own) == Ceiling(cpu_milli=1500, memory_bytes=536_870_912)


def test_a_container_that_sees_itself_as_the_root(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    write(tmp_path / "cgroup", cpu_max="50000 100000", memory_max="max")
    assert ceiling(tmp_path / "cgroup", own) == Ceiling(cpu_milli=500, memory_bytes=None)


def test_version_1_has_a_hierarchy_for_each(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n")
    root = tmp_path / "cgroup"
    for path, text in {
        "memory/docker/x/memory.limit_in_bytes": "268435456",
        "cpu,cpuacct/docker/x/cpu.cfs_quota_us": "25000",
        "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    assert ceiling(root, own) == Ceiling(cpu_milli=250, memory_bytes=268_435_456)


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../../etc", "0::/gone"])
def test_what_cannot_be_read_limits_nothing(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own"
    own.write_text(text)
    assert ceiling(tmp_path / "cgroup", own) == Ceiling(None, None)


def test_the_proxy_never_loads_the_cryptography_library() -> None:
    """It would be a fifth of its memory, for a moment's use: see `identity_tool`."""
    program = "import sys, omnitide.node.assembly; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
