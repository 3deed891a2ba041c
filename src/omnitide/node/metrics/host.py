"""What the machine uses, from the kernel's own files: a handful of reads a second."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Final

from omnitide.node.metrics import proc_files as pf
from omnitide.node.metrics.kept_file import KeptFile
from omnitide.telemetry.series.definition import Kind, Labels, Series

Sample = tuple[Series, int]

MAX_DEVICES: Final = 8
"""Of disks and of network devices, in order of name."""
DISK_EVERY: Final = 10
"""Seconds between two questions how full the disk is: it may be on a network."""
_NO_DISK = re.compile(r"(?:loop|ram|zram|fd|sr)\d+|(?:sd|vd|xvd|hd)[a-z]+\d+|(?:nvme|mmcblk|nbd)\S*p\d+")
_NO_NETWORK = re.compile(r"lo|veth.*|docker.*|br-.*|cni.*|virbr.*|ifb\d+|dummy\d+|bonding_masters|sit\d+|tunl\d+")
_TICKS = os.sysconf("SC_CLK_TCK")
_PREFIX: Final = "omnitide_node_"

_PRESSURE_HELP: Final = {
    "waiting": "Time in which something that could run was held up for want of it.",
    "stalled": "Time in which all that could run was held up for want of it.",
}


class HostSampler:
    """`sample` is one second's worth."""

    def __init__(self, disk: str, root: str = "", live: Callable[[], int] = lambda: 0) -> None:
        """`disk`: a path on the disk that counts. `root`: before /proc, in tests. `live`: instances that run here."""
        self._disk = disk
        self._live = live
        self._stat = KeptFile(f"{root}/proc/stat")
        self._memory = KeptFile(f"{root}/proc/meminfo")
        self._load = KeptFile(f"{root}/proc/loadavg")
        self._network = KeptFile(f"{root}/proc/net/dev")
        self._disks = KeptFile(f"{root}/proc/diskstats")
        self._pressure = {one: KeptFile(f"{root}/proc/pressure/{one}") for one in ("cpu", "memory", "io")}
        self._own = KeptFile(f"{root}/proc/self/stat")
        self._known: dict[tuple[str, Labels], Series] = {}
        self._second = 0
        self._space: list[Sample] = []

    def sample(self) -> list[Sample]:
        found: list[Sample] = []
        for part in (
            self._cpu,
            self._memories,
            self._loads,
            self._networks,
            self._disk_io,
            self._pressures,
            self._proxy,
        ):
            try:
                found += part()
            except (ValueError, IndexError):
                continue  # of a kernel that writes this file in another way
        if self._second % DISK_EVERY == 0:
            self._space = self._disk_space()
        self._second += 1
        found += self._space
        found.append((self._of("instances", "Instances that run on the node."), self._live()))
        return found

    def close(self) -> None:
        for file in (self._stat, self._memory, self._load, self._network, self._disks, self._own):
            file.close()
        for file in self._pressure.values():
            file.close()

    def _of(self, name: str, text: str, unit: str = "", exponent: int = 0) -> Series:
        return self._kept("gauge", name, text, unit, exponent, ())

    def _counter(self, name: str, text: str, unit: str = "", exponent: int = 0, **labels: str) -> Series:
        return self._kept("counter", name, text, unit, exponent, tuple(sorted(labels.items())))

    def _kept(self, kind: Kind, name: str, text: str, unit: str, exponent: int, labels: Labels) -> Series:
        series = self._known.get((name, labels))
        if series is None:
            series = self._known[name, labels] = Series(_PREFIX + name, labels, kind, unit, text, exponent)
        return series

    def _cpu(self) -> Iterator[Sample]:
        exponent = -2 if _TICKS == 100 else -3
        scale = 10**-exponent // _TICKS
        modes = pf.cpu_ticks(self._stat.read())
        if not modes:
            return
        used = sum(ticks for mode, ticks in modes.items() if mode not in pf.IDLE_MODES)
        text = "Time that the processors were in use, of all together: its rate is processors in use."
        yield self._counter("cpu_used_seconds_total", text, "seconds", exponent), used * scale
        for mode in ("user", "system", "iowait", "steal"):
            if mode in modes:
                text = "Time of all processors together, by what they did."
                yield self._counter("cpu_seconds_total", text, "seconds", exponent, mode=mode), modes[mode] * scale

    def _memories(self) -> Iterator[Sample]:
        found = pf.memory_bytes(self._memory.read())
        total, available = found.get("MemTotal"), found.get("MemAvailable", found.get("MemFree"))
        if total is None or available is None:
            return
        yield self._of("memory_total_bytes", "Memory of the machine.", "bytes"), total
        yield self._of("memory_available_bytes", "Memory that programs could still have.", "bytes"), available
        yield self._of("memory_used_bytes", "Memory in use: all but what is available.", "bytes"), total - available
        if found.get("SwapTotal"):
            used = found["SwapTotal"] - found.get("SwapFree", 0)
            yield self._of("swap_used_bytes", "Memory that was put out to disk.", "bytes"), used

    def _loads(self) -> Iterator[Sample]:
        for minutes, value in zip((1, 5, 15), pf.load_hundredths(self._load.read()), strict=False):
            yield self._of(f"load{minutes}", f"Load average of {minutes} min.", "", -2), value

    def _networks(self) -> Iterator[Sample]:
        known = sorted(
            (name, found)
            for name, found in pf.network_counters(self._network.read()).items()
            if not _NO_NETWORK.fullmatch(name)
        )
        for device, found in known[:MAX_DEVICES]:
            received, sent = "Bytes that came over the network.", "Bytes that went out over the network."
            yield self._counter("network_receive_bytes_total", received, "bytes", device=device), found.received_bytes
            yield self._counter("network_transmit_bytes_total", sent, "bytes", device=device), found.sent_bytes
            errors = found.received_errors + found.sent_errors
            yield self._counter("network_errors_total", "Packets that came or went with errors.", device=device), errors

    def _disk_io(self) -> Iterator[Sample]:
        known = sorted(
            (name, found)
            for name, found in pf.disk_counters(self._disks.read()).items()
            if not _NO_DISK.fullmatch(name) and not name.startswith(("dm-", "md"))
        )
        for device, found in known[:MAX_DEVICES]:
            read, written = "Bytes read from disks.", "Bytes written to disks."
            yield self._counter("disk_read_bytes_total", read, "bytes", device=device), found.read_bytes
            yield self._counter("disk_written_bytes_total", written, "bytes", device=device), found.written_bytes
            text = "Time in which a disk had something to do."
            yield self._counter("disk_io_time_seconds_total", text, "seconds", -3, device=device), found.busy_ms

    def _pressures(self) -> Iterator[Sample]:
        for resource, file in self._pressure.items():
            found = pf.pressure_us(file.read())
            for word, kind in (("waiting", "some"), ("stalled", "full")):
                if kind in found and (resource, word) != ("cpu", "stalled"):
                    name = f"pressure_{resource}_{word}_seconds_total"
                    yield self._counter(name, _PRESSURE_HELP[word], "seconds", -6), found[kind]

    def _proxy(self) -> Iterator[Sample]:
        line = self._own.read()
        fields = line[line.rfind(b")") + 2 :].split()
        if len(fields) >= 22:
            ticks = int(fields[11]) + int(fields[12])
            text = "Processor time of the node proxy itself."
            yield self._counter("proxy_cpu_seconds_total", text, "seconds", -2), ticks * 100 // _TICKS
            resident = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            yield self._of("proxy_resident_memory_bytes", "Memory of the node proxy itself.", "bytes"), resident

    def _disk_space(self) -> list[Sample]:
        try:
            found = os.statvfs(self._disk)
        except OSError:
            return []
        size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        return [
            (self._of("filesystem_size_bytes", "Size of the disk that Omnitide's data is on.", "bytes"), size),
            (self._of("filesystem_available_bytes", "Room on that disk for who is not root.", "bytes"), free),
            (self._of("filesystem_used_bytes", "What is used of that disk.", "bytes"), used),
        ]
