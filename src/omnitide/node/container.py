"""How much of the machine this process may use: CPU and memory limits of the control groups above it, versions 1 and 2.

A container sees the whole machine in /proc, and would promise all of it to the scheduler.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")


class Ceiling(NamedTuple):
    """Limits on the whole process; None where there is none."""

    cpu_milli: int | None
    memory_bytes: int | None


def ceiling(root: Path = CGROUP_ROOT, own: Path = OWN_CGROUPS) -> Ceiling:
    """The lowest limits from the process's own groups up to the root. What cannot be read limits nothing."""
    cpu: list[int] = []
    memory: list[int] = []
    for directory in _groups(root, own):
        quota = _cpu_milli(directory)
        if quota is not None:
            cpu.append(quota)
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(directory / name)
            if text.isdecimal() and int(text) > 0:
                memory.append(int(text))
    return Ceiling(min(cpu, default=None), min(memory, default=None))


def _groups(root: Path, own: Path) -> Iterator[Path]:
    """Directories of all groups above this process, in every hierarchy. In a container with a namespace of its own the
    path is "/", and the limits are at the root; where the path of the host shows through, it leads nowhere."""
    for line in _read(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        base = root / controllers if controllers else root
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts), -1, -1):
            yield base.joinpath(*parts[:depth])


def _cpu_milli(directory: Path) -> int | None:
    quota, _, period = _read(directory / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(directory / "cpu.cfs_quota_us"), _read(directory / "cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
        return max(1, int(quota) * 1000 // int(period))
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
