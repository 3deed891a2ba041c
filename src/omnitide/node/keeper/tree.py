"""A run's tree of processes: whether any is left, and killing all of it.

With a control group the kernel knows the tree. Without one it is what `/proc` shows: session, marker and descent; the
keeper is subreaper, so whatever loses its parent becomes the keeper's child and stays in sight.
"""

import os
from collections.abc import Callable, Collection

from omnitide.node.keeper import cgroup_files, processes
from omnitide.node.keeper.processes import Process
from omnitide.node.keeper.run import Run


def marker(keeper_id: str, run: Run) -> str:
    """The value of OMNITIDE_RUN_ID for a run."""
    return f"{keeper_id}/{run.instance}/{run.attempt}"


class Trees:
    """Looks after the trees of one keeper's runs."""

    def __init__(self, keeper_id: str, mains: Collection[int], is_helper: Callable[[int], bool]) -> None:
        """`mains`: pids of the main processes that have not been reaped, as a live view; `is_helper` tells a child that
        the keeper has started for itself."""
        self._keeper_id = keeper_id
        self._mains = mains
        self._is_helper = is_helper
        self._killed: dict[tuple[str, int], list[Process]] = {}
        """By run: what was told to die. The environment of a process that does is gone before it is: nothing shows then
        whose it is."""

    def alive(self, run: Run) -> bool:
        """Whether a process of the run is left."""
        if run.groups and cgroup_files.tracker(run.groups):
            return cgroup_files.alive(run.groups)
        if run.main_alive:
            return True
        if any(map(processes.is_left, self._killed.get(run.key, ()))):
            return True
        orphans = self._orphans()
        if self._members(run, orphans):
            return True
        # One that has died since it was listed may have left another in its place, which only a second look can tell.
        # Asked last: what dies amid the search has taken what is below it out of the search's way.
        seen = [processes.look_up(pid) for pid in orphans]
        if any(process is None or process.dead for process in seen):
            return True
        self._killed.pop(run.key, None)
        return False

    def kill(self, run: Run) -> None:
        """Kill what is left of the run now; ask `alive` afterwards, and again."""
        if run.groups and cgroup_files.tracker(run.groups):
            cgroup_files.kill(run.groups)
        else:
            killed = processes.kill_all(lambda: self._members(run, self._orphans()))
            self._killed[run.key] = [*filter(processes.is_left, self._killed.get(run.key, ())), *killed]

    def _members(self, run: Run, orphans: list[int]) -> list[Process]:
        """The main process with all below it, and the orphans that show whose they are, with all below them."""
        mark = marker(self._keeper_id, run)
        family = processes.below(orphans)
        seeds = [pid for pid, it in family.items() if it.session == run.pid or processes.marker(pid) == mark]
        found = processes.below([run.pid]) if run.main_alive else {}
        found.update((pid, family[pid]) for pid in processes.with_descendants(seeds, family))
        return list(found.values())

    def _orphans(self) -> list[int]:
        """Children of the keeper that it did not start: they lost their parents."""
        children = processes.children(os.getpid())
        if children is None:
            own = os.getpid()
            children = [pid for pid, process in processes.all_processes().items() if process.parent == own]
        return [pid for pid in children if pid not in self._mains and not self._is_helper(pid)]

    def kill_strays(self, live: Collection[Run]) -> None:
        """Kill the orphans that no live run can account for, with all below them.

        An orphan with a marker or in a session of a live run is that run's. One without (it left its session and
        cleared its environment) must have come from a run that started before it did; when no live run is that old,
        its run has ended, and it has no business any more.
        """
        orphans = self._orphans()
        if not orphans:
            return
        marks = {marker(self._keeper_id, run) for run in live}
        sessions = {run.pid for run in live}
        oldest = min((run.started_ticks for run in live), default=2**63)
        for process in map(processes.look_up, orphans):
            if process is None or process.session in sessions:
                continue
            mark = processes.marker(process.pid)
            if mark not in marks and (process.started < oldest or mark.startswith(f"{self._keeper_id}/")):
                processes.kill_all(lambda pid=process.pid: list(processes.below([pid]).values()))
