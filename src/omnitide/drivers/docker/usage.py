"""What a container uses now, by the engine's own measure."""

import msgspec

from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.protocol import Usage


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


async def measure(engine: Engine, name: str) -> Usage | None:
    """None for one that does not run. Raises DriverError."""
    try:
        params = {"stream": "0", "one-shot": "1"}
        found = await engine.call("GET", f"containers/{name}/stats", _Stats, params=params)
    except EngineRefused:
        return None
    if not found.pids_stats.current and not found.memory_stats.usage:
        return None
    memory = found.memory_stats
    # Pages of files that can be dropped at any time are not what it needs (`docker stats` counts likewise).
    cached = memory.stats.get("total_inactive_file", memory.stats.get("inactive_file", 0))
    return Usage(
        cpu_ms=found.cpu_stats.cpu_usage.total_usage // 1_000_000,
        memory_bytes=max(0, memory.usage - cached),
        pids=found.pids_stats.current,
    )
