"""What containers use now: from their control groups, which costs a few reads of files, else by the engine's own
measure, which costs a question for each."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from omnitide.drivers.docker.answers import Container
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.protocol import Usage
from omnitide.node.keeper import cgroup_files
from omnitide.node.keeper.cgroup_mounts import UNIFIED, Hierarchy, discover

ASKED_EVERY_S: Final = 5.0
"""Seconds between two questions to the engine about a container whose control groups cannot be seen."""
MOUNTS: Final = "/proc/self/mountinfo"


class _Cpu(msgspec.Struct, frozen=True):
    total_usage: int = 0


class _CpuStats(msgspec.Struct, frozen=True):
    cpu_usage: _Cpu = _Cpu()


class _Memory(msgspec.Struct, frozen=True):
    usage: int = 0
    stats: dict[str, int] = {}


class _Pids(msgspec.Struct, frozen=True):
    current: int = 0


class _Stats(msgspec.Struct, frozen=True):
    cpu_stats: _CpuStats = _CpuStats()
    memory_stats: _Memory = _Memory()
    pids_stats: _Pids = _Pids()


class Groups:
    """The control groups of containers, once found: they stay where they are while the container runs."""

    def __init__(self, read: Callable[[str], str | None] = cgroup_files.read) -> None:
        self._read = read
        self._known: dict[str, Mapping[str, Hierarchy] | None] = {}
        """None: they cannot be seen from here, as of an engine in a machine of its own."""
        self._asked: dict[str, float] = {}
        """When the engine was asked about those last."""

    async def measure(self, engine: Engine, name: str) -> Usage | None:
        """None for one that does not run. Raises DriverError."""
        if name not in self._known and not await self._find(engine, name):
            return None
        groups = self._known[name]
        usage = _from_groups(groups, self._read) if groups is not None else None
        if usage is not None:
            return usage
        if groups is not None:
            del self._known[name]  # it has ended, or was started anew
            return await asked(engine, name)
        now = asyncio.get_running_loop().time()
        if now < self._asked.get(name, 0.0) + ASKED_EVERY_S:
            return None
        self._asked[name] = now
        return await asked(engine, name)

    def keep(self, names: set[str]) -> None:
        """Forget all others."""
        for name in self._known.keys() - names:
            del self._known[name]
            self._asked.pop(name, None)

    async def _find(self, engine: Engine, name: str) -> bool:
        """Whether there is such a container."""
        try:
            found = await engine.call("GET", f"containers/{name}/json", Container)
        except EngineRefused:
            return False
        mounts = self._read(MOUNTS) or ""
        paths = self._read(f"/proc/{found.state.pid}/cgroup") or "" if found.state.pid else ""
        # A process of this number may be another one here than where the engine is.
        self._known[name] = discover(mounts, paths) or None if found.id and found.id in paths else None
        return True


def _from_groups(groups: Mapping[str, Hierarchy], read: Callable[[str], str | None]) -> Usage | None:
    unified = groups.get(UNIFIED)
    memory, pids = groups.get("memory", unified), groups.get("pids", unified)
    if memory is None or pids is None:
        return None
    version_1 = memory is not unified
    used = _number(read(f"{memory.own}/{'memory.usage_in_bytes' if version_1 else 'memory.current'}"))
    # Pages of files that can be dropped at any time are not what it needs (`docker stats` counts likewise).
    droppable = _counter(read(f"{memory.own}/memory.stat"), "total_inactive_file" if version_1 else "inactive_file")
    cpu_ms = _cpu_ms(groups, read)
    tasks = _number(read(f"{pids.own}/pids.current"))
    if used is None or cpu_ms is None or not tasks:
        return None
    return Usage(cpu_ms=cpu_ms, memory_bytes=max(0, used - droppable), pids=tasks)


def _cpu_ms(groups: Mapping[str, Hierarchy], read: Callable[[str], str | None]) -> int | None:
    cpu = groups.get("cpu")
    if cpu is not None:
        # Most often in one hierarchy with the other, else beside it.
        beside = os.path.join(os.path.dirname(cpu.mount), "cpuacct") + cpu.own[len(cpu.mount) :]
        for directory in (cpu.own, beside):
            used = _number(read(f"{directory}/cpuacct.usage"))
            if used is not None:
                return used // 1_000_000
    unified = groups.get(UNIFIED)
    text = read(f"{unified.own}/cpu.stat") if unified is not None else None
    return _counter(text, "usage_usec") // 1000 if text is not None else None


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdigit() else None


def _counter(text: str | None, name: str) -> int:
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


async def asked(engine: Engine, name: str) -> Usage | None:
    """By the engine's own measure; None for one that does not run. Raises DriverError."""
    try:
        params = {"stream": "0", "one-shot": "1"}
        found = await engine.call("GET", f"containers/{name}/stats", _Stats, params=params)
    except EngineRefused:
        return None
    if not found.pids_stats.current and not found.memory_stats.usage:
        return None
    memory = found.memory_stats
    cached = memory.stats.get("total_inactive_file", memory.stats.get("inactive_file", 0))
    return Usage(
        cpu_ms=found.cpu_stats.cpu_usage.total_usage // 1_000_000,
        memory_bytes=max(0, memory.usage - cached),
        pids=found.pids_stats.current,
    )
