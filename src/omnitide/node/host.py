"""The machine under a node, read with psutil: what it is, and how busy."""

import errno
import ipaddress
import os
import platform
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from omnitide.drivers.protocol import PortBinding
from omnitide.node.container import ceiling
from omnitide.node.facts import Facts, HostUse
from omnitide.node.provisions.devices import given

USE_TTL_S: Final = 0.5
_KINDS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
SOMEWHERE: Final = "192.0.2.1"
"""An address for documentation (RFC 5737): the way to it is the default route, and nothing is ever sent there."""


class MachineHost:
    """A `facts.Host`."""

    def __init__(
        self,
        name: str,
        data: Path,
        *,
        labels: Mapping[str, str],
        ports: tuple[int, int],
        reserve_cpu_milli: int = 0,
        reserve_memory_bytes: int = 0,
        towards: str = "",
        devices: Sequence[str] = (),
    ) -> None:
        """`data`: whose disk counts. `towards`: `host:port` of Nexus; the address of the interface that leads there is
        where this node's ports are taken to be reached. `devices`: the setting `node.devices`."""
        self._name = name
        self._data = data
        self._labels = dict(labels)
        self._ports = ports
        self._reserve = (reserve_cpu_milli, reserve_memory_bytes)
        self._towards = towards
        self._devices = tuple(devices)
        self._platform = _platform()
        self._used_at = float("-inf")
        self._use = HostUse()
        # The first call only begins the measurement.
        psutil.cpu_percent(interval=None)

    def facts(self) -> Facts:
        cpu_milli = len(os.sched_getaffinity(0)) * 1000
        memory_bytes = psutil.virtual_memory().total
        limits = ceiling()
        return Facts(
            name=self._name,
            labels=self._labels,
            cpu_milli=max(0, min(cpu_milli, limits.cpu_milli or cpu_milli) - self._reserve[0]),
            memory_bytes=max(0, min(memory_bytes, limits.memory_bytes or memory_bytes) - self._reserve[1]),
            disk_bytes=psutil.disk_usage(str(self._data)).total,
            port_first=self._ports[0],
            port_last=self._ports[1],
            address=address_towards(self._towards),
            platform=self._platform,
            devices=given(self._devices),
        )

    def use(self) -> HostUse:
        now = time.monotonic()
        if now - self._used_at >= USE_TTL_S:
            self._used_at = now
            network = psutil.net_io_counters()
            memory = psutil.virtual_memory()
            self._use = HostUse(
                cpu_milli_used=int(psutil.cpu_percent(interval=None) * 10 * (psutil.cpu_count() or 1)),
                memory_used_bytes=memory.total - memory.available,
                disk_used_bytes=psutil.disk_usage(str(self._data)).used,
                network_received_bytes=network.bytes_recv,
                network_sent_bytes=network.bytes_sent,
                load_milli=int(os.getloadavg()[0] * 1000),
            )
        return self._use

    def busy_port(self, ports: Sequence[PortBinding]) -> int | None:
        """The number of the first that cannot be bound where it is to be open, as a server would: a socket in TIME_WAIT
        is no obstacle. An address that is not this machine's is for whoever binds it to tell."""
        for port in ports:
            family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
            with socket.socket(family, _KINDS[port.protocol]) as probe:
                if port.protocol == "tcp":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((port.host_ip or "0.0.0.0", port.host))
                except OSError as error:
                    if error.errno != errno.EADDRNOTAVAIL:
                        return port.host
        return None


def address_towards(endpoint: str) -> str:
    """This machine's address on the way to a `host:port`; of the default route if that is a name, which is not asked
    for here, or empty. Nothing is sent."""
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        target = ipaddress.ip_address(host)
    except ValueError:
        target = ipaddress.ip_address("127.0.0.1" if host == "localhost" else SOMEWHERE)
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(target), 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _platform() -> dict[str, str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    return {
        "os": platform.system().lower(),
        "arch": platform.machine(),
        "host": socket.gethostname(),
        "kernel": platform.release(),
        "distribution": release.get("PRETTY_NAME", ""),
        "python": platform.python_version(),
        "cpu_model": _cpu_model(),
        "cpus": str(os.cpu_count() or 1),
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Model", "Hardware"):
                    return value.strip()
    except OSError:
        pass
    return ""
