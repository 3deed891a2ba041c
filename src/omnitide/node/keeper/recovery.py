"""What a new keeper does about the runs of one that died: end what is left of them, and call them unknown.

They were children of the dead keeper and wrote into its pipes; nobody can hear how they end any more. Nothing may run
unsupervised, or twice, so whatever is left of them is killed before this keeper takes requests.
"""

import os
import time

from omnitide.node.keeper import cgroup_files, ending, linux, processes
from omnitide.node.keeper.cgroup import Cgroups
from omnitide.node.keeper.cgroup_files import Groups
from omnitide.node.keeper.journal import Journal, read
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.run import EXITED, UNKNOWN, Run
from omnitide.node.keeper.supervisor import Supervisor

_PATIENCE_MS = 10_000


def recover(paths: Paths, supervisor: Supervisor, journal: Journal, cgroups: Cgroups | None, keeper_id: str) -> None:
    """Take the runs on disk into the table; those that had not ended are killed and become unknown."""
    boot = linux.boot_id()
    runs = list(read(paths.journal).values())
    lost = [run for run in runs if run.exit is None]
    sessions = {run.pid: run.started_ticks for run in lost if run.boot == boot}
    groups = [run.groups for run in lost if run.groups] + (cgroups.leftovers() if cgroups else [])
    remaining = _kill_leftovers(keeper_id, sessions, groups)
    for run in lost:
        run.exit = ending.unknown(_explain(run.boot == boot, remaining), linux.wall_ms())
    _adopt(runs, lost, supervisor, journal)
    if lost:
        note(f"{len(lost)} runs were live when the keeper before this one ended; how they ended is unknown")


def take_copied(paths: Paths, supervisor: Supervisor, journal: Journal, original: str) -> None:
    """Take the runs of a copied journal into the table, all of them as ended: here none of them ever ran.

    What still runs of them is another keeper's, and is neither looked for nor touched.
    """
    runs = list(read(paths.journal).values())
    lost = [run for run in runs if run.exit is None]
    for run in runs:
        run.groups = {}
    for run in lost:
        message = f"it ran for {original}, of which this directory is a copy"
        run.exit = ending.unknown(message, linux.wall_ms())
    _adopt(runs, lost, supervisor, journal)


def _adopt(runs: list[Run], lost: list[Run], supervisor: Supervisor, journal: Journal) -> None:
    """`lost`: those whose end the journal does not tell yet."""
    for run in runs:
        run.state = UNKNOWN if run.exit is None or run.exit.reason == ending.UNKNOWN else EXITED
        supervisor.adopt(run, supervisor.instance(run.instance))
    if not journal.rewrite(supervisor.runs()):
        _record_ends(lost, journal)


def _record_ends(lost: list[Run], journal: Journal) -> None:
    for run in lost:
        assert run.exit is not None
        try:
            journal.ended(run, run.exit)
        except OSError as error:
            # The next keeper finds them as this one did, and says the same.
            note(f"how {run.name} ended cannot be recorded: {error.strerror}")
            return


def _explain(same_boot: bool, remaining: list[int]) -> str:
    if not same_boot:
        return "the machine was restarted while it ran"
    message = "its supervisor, the keeper, ended before it did"
    if remaining:
        message += f"; processes {remaining[:10]} of ended runs could not be killed yet"
    return message


def _kill_leftovers(keeper_id: str, sessions: dict[int, int], groups: list[Groups]) -> list[int]:
    """Kill everything of the dead keeper's runs; returns what has not gone within the patience."""
    deadline = linux.monotonic_ms() + _PATIENCE_MS
    delay_s = 0.001
    while True:
        found = _leftovers(keeper_id, sessions)
        busy = [group for group in groups if cgroup_files.alive(group)]
        if not found and not busy:
            for group in groups:
                cgroup_files.remove(group)
            return []
        if linux.monotonic_ms() > deadline:
            return sorted({process.pid for process in found} | {pid for group in busy for pid in _pids(group)})
        for group in busy:
            cgroup_files.kill(group)
        processes.kill_all(lambda: _leftovers(keeper_id, sessions))
        time.sleep(delay_s)
        delay_s = min(0.1, 2 * delay_s)


def _pids(group: Groups) -> list[int]:
    return cgroup_files.members(group)


def _leftovers(keeper_id: str, sessions: dict[int, int]) -> list[processes.Process]:
    """Processes with this keeper's marker, or in the session of a main process that is provably a remembered one."""
    everything = processes.all_processes()
    verified = {pid for pid, ticks in sessions.items() if pid in everything and everything[pid].started == ticks}
    own = os.getpid()
    seeds = [
        process.pid
        for process in everything.values()
        if process.pid != own
        and (process.session in verified or processes.marker(process.pid).startswith(f"{keeper_id}/"))
    ]
    return [everything[pid] for pid in processes.with_descendants(seeds, everything) if pid != own]
