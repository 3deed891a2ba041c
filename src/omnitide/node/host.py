"""The machine under a node, read with psutil: what it is, and how busy."""

import os
import platform
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from omnitide.node.facts import Facts, HostUse

USE_TTL_S: Final = 0.5
_CGROUP_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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
    ) -> None:
        self._name = name
        self._data = data
        self._labels = dict(labels)
        self._ports = ports
        self._reserve = (reserve_cpu_milli, reserve_memory_bytes)
        self._platform = _platform()
        self._used_at = 0.0
        self._use = HostUse()
        # The first call only begins the measurement.
        psutil.cpu_percent(interval=None)

    def facts(self) -> Facts:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return Facts(
            name=self._name,
            labels=self._labels,
            cpu_milli=max(0, cpus * 1000 - self._reserve[0]),
            memory_bytes=max(0, _memory_limit() - self._reserve[1]),
            disk_bytes=psutil.disk_usage(str(self._data)).total,
            port_first=self._ports[0],
            port_last=self._ports[1],
            address=_address(),
            platform=self._platform,
        )

    def use(self) -> HostUse:
        now = time.monotonic()
        if now - self._used_at >= USE_TTL_S:
            self._used_at = now
            network = psutil.net_io_counters()
            self._use = HostUse(
                cpu_milli_used=int(psutil.cpu_percent(interval=None) * 10 * (psutil.cpu_count() or 1)),
                memory_used_bytes=psutil.virtual_memory().used,
                disk_used_bytes=psutil.disk_usage(str(self._data)).used,
                network_received_bytes=network.bytes_recv,
                network_sent_bytes=network.bytes_sent,
                load_milli=int(os.getloadavg()[0] * 1000) if hasattr(os, "getloadavg") else 0,
            )
        return self._use

    def busy_port(self, ports: tuple[int, ...]) -> int | None:
        """The first that cannot be bound on all interfaces. As a server would: a socket in TIME_WAIT is no obstacle."""
        for port in ports:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("0.0.0.0", port))
                    probe.listen(1)
                except OSError:
                    return port
        return None


def _platform() -> dict[str, str]:
    release: dict[str, str] = {}
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        pass
    return {
        "os": platform.system().lower(),
        "arch": platform.machine(),
        "host": socket.gethostname(),
        "kernel": platform.release(),
        "distribution": release.get("PRETTY_NAME", ""),
        "python": platform.python_version(),
        "cpus": str(os.cpu_count() or 1),
    }


def _memory_limit() -> int:
    """What this process may use: the machine's memory, or its container's limit."""
    total = psutil.virtual_memory().total
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and 0 < int(text) < total:
            return int(text)
    return total


def _address() -> str:
    """The address of the interface that carries the default route; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
