"""What the kernel's files say, as numbers. Pure: texts in, integers out; what a kernel does not tell is left out."""

from typing import Final, NamedTuple

CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Of /proc/stat, in its order."""
IDLE_MODES: Final = frozenset({"idle", "iowait"})
SECTOR_BYTES: Final = 512
"""Of /proc/diskstats, whatever the disk's own are."""


class DiskCounters(NamedTuple):
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int
    busy_ms: int


class NetworkCounters(NamedTuple):
    received_bytes: int
    sent_bytes: int
    received_errors: int
    sent_errors: int


def cpu_ticks(stat: bytes) -> dict[str, int]:
    """Clock ticks of all processors together by mode, from the first line of /proc/stat."""
    fields = stat[: stat.find(b"\n")].split()
    if not fields or fields[0] != b"cpu":
        return {}
    return {mode: int(text) for mode, text in zip(CPU_MODES, fields[1:], strict=False)}


def memory_bytes(meminfo: bytes) -> dict[str, int]:
    """/proc/meminfo, by its own names."""
    found: dict[str, int] = {}
    for line in meminfo.split(b"\n"):
        key, _, rest = line.partition(b":")
        fields = rest.split()
        if fields and fields[0].isdigit():
            found[key.decode(errors="replace")] = int(fields[0]) * (1024 if len(fields) > 1 else 1)
    return found


def load_hundredths(loadavg: bytes) -> tuple[int, ...]:
    """Of 1, 5 and 15 minutes."""
    try:
        return tuple(round(float(field) * 100) for field in loadavg.split()[:3])
    except ValueError:
        return ()


def network_counters(dev: bytes) -> dict[str, NetworkCounters]:
    """/proc/net/dev, by device."""
    found: dict[str, NetworkCounters] = {}
    for line in dev.split(b"\n")[2:]:
        name, _, rest = line.partition(b":")
        fields = rest.split()
        if len(fields) >= 11:
            found[name.strip().decode(errors="replace")] = NetworkCounters(
                int(fields[0]), int(fields[8]), int(fields[2]), int(fields[10])
            )
    return found


def disk_counters(diskstats: bytes) -> dict[str, DiskCounters]:
    """/proc/diskstats, by device; partitions too."""
    found: dict[str, DiskCounters] = {}
    for line in diskstats.split(b"\n"):
        fields = line.split()
        if len(fields) >= 14:
            reads, read_sectors, writes, written_sectors, busy = (int(fields[index]) for index in (3, 5, 7, 9, 12))
            found[fields[2].decode(errors="replace")] = DiskCounters(
                read_sectors * SECTOR_BYTES, written_sectors * SECTOR_BYTES, reads, writes, busy
            )
    return found


def pressure_us(text: bytes) -> dict[str, int]:
    """Microseconds of a /proc/pressure file in which `some` or all (`full`) that could run were held up."""
    found: dict[str, int] = {}
    for line in text.split(b"\n"):
        fields = line.split()
        if len(fields) >= 2 and fields[-1].startswith(b"total="):
            found[fields[0].decode(errors="replace")] = int(fields[-1][len(b"total=") :])
    return found


def counters(text: bytes) -> dict[str, int]:
    """A file of lines `name number`, such as cpu.stat or memory.stat of a control group."""
    found: dict[str, int] = {}
    for line in text.split(b"\n"):
        key, _, value = line.partition(b" ")
        if value.isdigit():
            found[key.decode(errors="replace")] = int(value)
    return found
