"""What running processes use: from their control groups where they have some, else from `/proc`."""

import os
from collections.abc import Mapping

from omnitide.drivers.keeper_link import WireRun
from omnitide.drivers.protocol import RunKey, Usage
from omnitide.node.keeper import cgroup_files, processes
from omnitide.node.keeper.cgroup_mounts import UNIFIED
from omnitide.node.keeper.processes import Process

_TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _number(path: str) -> int | None:
    text = (cgroup_files.read(path) or "").strip()
    return int(text) if text.isdigit() else None


def _memory(groups: Mapping[str, str]) -> int | None:
    """The working set: what is charged, less file pages that can be dropped at once."""
    if "memory" in groups:
        directory = groups["memory"]
        used = _number(f"{directory}/memory.usage_in_bytes")
        droppable = cgroup_files.counter(f"{directory}/memory.stat", "total_inactive_file")
    elif UNIFIED in groups:
        directory = groups[UNIFIED]
        used = _number(f"{directory}/memory.current")
        droppable = cgroup_files.counter(f"{directory}/memory.stat", "inactive_file")
    else:
        return None
    return None if used is None else max(0, used - (droppable or 0))


def _threads(groups: Mapping[str, str]) -> int | None:
    directory = groups.get("pids") or groups.get(UNIFIED)
    return _number(f"{directory}/pids.current") if directory else None


def _cpu_ms(groups: Mapping[str, str]) -> int | None:
    used = cgroup_files.counter(f"{groups[UNIFIED]}/cpu.stat", "usage_usec") if UNIFIED in groups else None
    return None if used is None else used // 1000


def _members(run: WireRun, everything: dict[int, Process]) -> list[Process]:
    """The run's processes; without a group those that descend from its main process or share its session."""
    groups = dict(run.groups)
    if cgroup_files.tracker(groups):
        found = (processes.look_up(pid) for pid in cgroup_files.members(groups))
        return [process for process in found if process is not None]
    if not everything:
        everything.update(processes.all_processes())
    seeds = [process.pid for process in everything.values() if process.session == run.pid]
    return [everything[pid] for pid in processes.with_descendants([run.pid, *seeds], everything)]


def measure(runs: Mapping[RunKey, WireRun]) -> dict[RunKey, Usage]:
    """Use of running runs. Reads files: a few for each run, or all of `/proc` once where there are no groups."""
    everything: dict[int, Process] = {}
    found: dict[RunKey, Usage] = {}
    for key, run in runs.items():
        cpu_ms, memory, threads = _cpu_ms(run.groups), _memory(run.groups), _threads(run.groups)
        members: list[Process] = []
        if cpu_ms is None or memory is None or threads is None:
            members = _members(run, everything)
        found[key] = Usage(
            cpu_ms=cpu_ms if cpu_ms is not None else sum(process.cpu_ticks for process in members) * _TICK_MS,
            memory_bytes=memory if memory is not None else sum(process.memory_pages for process in members) * _PAGE,
            pids=threads if threads is not None else sum(process.threads for process in members),
        )
    return found
