"""Makes the control groups of runs, and knows which limits can be enforced in them on this machine.

Below a base directory named after the keeper are the leaf `keeper`, where the keeper itself sits, and `instances`, with
a group for each run. In version 2 a run has one group. In version 1 it has one in the hierarchy by which its processes
are found (the unified one where mounted beside, else pids or freezer), and one for each limit that it asks for.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from omnitide.node.keeper import cgroup_files
from omnitide.node.keeper.cgroup_files import Groups
from omnitide.node.keeper.cgroup_mounts import UNIFIED, Hierarchy
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.spec import Limits

LIMITS = ("cpu", "memory", "pids")
_PERIOD_US = 100_000
_LONG_PERIOD_US = 1_000_000
_LEAST_QUOTA_US = 1_000
"""The kernel's bounds: periods up to a second, quotas from a millisecond on."""
_LEAVE_TRIES = 100
_LEAVE_PAUSE_S = 0.01


class _Place(NamedTuple):
    """Where groups are made in one hierarchy."""

    key: str
    base: str
    own: str
    """The keeper's group before it moved to its leaf."""

    def group(self, instance: str) -> str:
        # The prefix keeps an instance called `tasks` or `memory.max` apart from the kernel's files of these names.
        return f"{self.base}/instances/run-{instance}"


class Cgroups:
    """The groups below one base. Without permission for any, `tracks` is False and nothing is enforced."""

    def __init__(
        self,
        hierarchies: dict[str, Hierarchy],
        name: str,
        *,
        also_move: Iterable[int] = (),
        mkdir: Callable[[str], None] = os.mkdir,
    ) -> None:
        """Take the hierarchies into use. `name` is unique to this keeper on the machine.

        `also_move`: processes (the node proxy) that may be taken into the keeper's leaf where the kernel lets a group
        with processes of its own have no limits below it.
        """
        self._name = f"omnitide-{name}"
        self._mkdir = mkdir
        self._also_move = tuple(also_move)
        self._places: dict[str, _Place] = {}
        self._tracker: _Place | None = None
        self._enforced_by: dict[str, _Place] = {}
        self._home = -1
        """The file by which the keeper enters its leaf, open from the first time on, as it does so after each start."""
        self.problems: list[str] = []
        """Why something is not available, for people."""
        for key in (UNIFIED, "pids", "freezer", "memory", "cpu"):
            hierarchy = hierarchies.get(key)
            if hierarchy is not None and (key != "freezer" or self._tracker is None):
                self._occupy(hierarchy)
        if not hierarchies:
            self.problems.append("no control groups are mounted")
        for limit in LIMITS:
            self._probe(limit)

    def may_visit(self, groups: Groups) -> bool:
        """Whether the keeper itself may sit in a run's `groups` for a moment; `go_home` must follow.

        It may where they hold processes together and do nothing else: it would be throttled, counted and, worst, killed
        for the run's want of memory by groups with limits, and would leave memory charged to those that account for it.
        """
        tracker = self._tracker
        return tracker is not None and list(groups) == [tracker.key] and tracker not in self._enforced_by.values()

    def go_home(self) -> None:
        """Put the keeper back into its leaf. Should even that fail, it stays where it is until the next try: `kill` of
        the group that it is in spares it."""
        if self._tracker is None:
            return
        for attempt in range(2):
            try:
                if attempt:
                    self._settle(self._tracker)  # somebody has removed the leaf
                if self._home < 0:
                    self._home = cgroup_files.open_to_enter(self._tracker.key, f"{self._tracker.base}/keeper")
                os.write(self._home, b"0")
            except OSError as error:
                note(f"{self._tracker.base}/keeper: {error.strerror}")
                self._leave_home()
            else:
                return

    def _leave_home(self) -> None:
        if self._home >= 0:
            os.close(self._home)
            self._home = -1

    @property
    def tracks(self) -> bool:
        """Whether each run's processes are held together by a group."""
        return self._tracker is not None

    @property
    def enforces(self) -> tuple[str, ...]:
        return tuple(limit for limit in LIMITS if limit in self._enforced_by)

    def _occupy(self, hierarchy: Hierarchy) -> None:
        refused = ""
        for base in self._candidates(hierarchy):
            place = _Place(hierarchy.key, base, self._origin(hierarchy.own))
            try:
                self._settle(place)
            except OSError as error:
                refused = f"{hierarchy.key}: {base}: {error.strerror}"
                continue
            self._places[place.key] = place
            if self._tracker is None and place.key in (UNIFIED, "pids", "freezer"):
                self._tracker = place
            return
        self.problems.append(refused)

    def _candidates(self, hierarchy: Hierarchy) -> list[str]:
        own = self._origin(hierarchy.own)
        beside = f"{own}/{self._name}"
        if hierarchy.key == UNIFIED and os.geteuid() == 0 and not _delegated(own):
            return [f"{hierarchy.mount}/{self._name}", beside]
        return [beside]

    def _origin(self, own: str) -> str:
        """The group outside of our base: this keeper, or the proxy that started it, may already sit in its leaf."""
        inside = own.find(f"/{self._name}/")
        return own[:inside] if inside >= 0 else own

    def _settle(self, place: _Place) -> None:
        """Make the base and take the keeper into its leaf. Raises OSError."""
        for directory in (place.base, f"{place.base}/instances", f"{place.base}/keeper"):
            try:
                self._mkdir(directory)
            except FileExistsError:
                continue
        if self._tracker is None:
            cgroup_files.write(f"{place.base}/keeper/cgroup.procs", "0")
        if place.key == UNIFIED:
            self._enable_controllers(place)

    def _enable_controllers(self, place: _Place) -> None:
        """Pass the controllers of version 2 on, from the group above the base down to the runs."""
        parent = os.path.dirname(place.base)
        offered = (cgroup_files.read(f"{parent}/cgroup.controllers") or "").split()
        for limit in (limit for limit in LIMITS if limit in offered):
            for directory in (parent, place.base, f"{place.base}/instances"):
                if limit in (cgroup_files.read(f"{directory}/cgroup.subtree_control") or "").split():
                    continue
                try:
                    self._enable(directory, limit, place)
                except OSError as error:
                    self.problems.append(f"{limit}: {directory}/cgroup.subtree_control: {error.strerror}")
                    break

    def _enable(self, directory: str, limit: str, place: _Place) -> None:
        control = f"{directory}/cgroup.subtree_control"
        try:
            cgroup_files.write(control, f"+{limit}")
        except OSError:
            if directory != place.own or not self._also_move:
                raise
            for pid in self._also_move:
                cgroup_files.write(f"{place.base}/keeper/cgroup.procs", str(pid))
            cgroup_files.write(control, f"+{limit}")

    def _probe(self, limit: str) -> None:
        """Find out by trying whether a limit can be set here."""
        place = next((self._places[key] for key in (limit, UNIFIED) if key in self._places), None)
        if place is None:
            return
        group = f"{place.base}/instances/probe"
        try:
            try:
                self._mkdir(group)
            except FileExistsError:
                pass
            _set_limit(limit, place.key, group, Limits(cpu_milli=500, memory_bytes=1 << 30, pids=1000))
        except OSError as error:
            self.problems.append(f"{limit}: {group}: {error.strerror}")
        else:
            self._enforced_by[limit] = place
        finally:
            cgroup_files.remove({place.key: group})

    def create(self, instance: str, limits: Limits) -> Groups:
        """Make a run's groups and set those of its limits that can be enforced. Raises OSError; then none are left."""
        asked = limits.asked()
        if not asked and self._tracker is not None:
            return {self._tracker.key: self._make_group(self._tracker, instance)}
        wanted = {limit: self._enforced_by[limit] for limit in asked if limit in self._enforced_by}
        places = {place.key: place for place in (self._tracker, *wanted.values()) if place is not None}
        groups: Groups = {}
        try:
            for key, place in places.items():
                groups[key] = self._make_group(place, instance)
            for limit, place in wanted.items():
                _set_limit(limit, place.key, groups[place.key], limits)
        except OSError:
            cgroup_files.remove(groups)
            raise
        return groups

    def _make_group(self, place: _Place, instance: str) -> str:
        group = place.group(instance)
        try:
            self._mkdir(group)
        except FileNotFoundError:
            self._settle(place)  # somebody removed the base
            self._mkdir(group)
        except FileExistsError:
            # Left by the run before: empty, or still being emptied, and then not to be joined.
            if not cgroup_files.remove({place.key: group}):
                raise
            self._mkdir(group)
        return group

    def leftovers(self) -> list[Groups]:
        """Groups of runs that exist, each alone: what an earlier keeper of this name left behind."""
        found: list[Groups] = []
        for place in self._places.values():
            try:
                names = os.listdir(f"{place.base}/instances")
            except OSError:
                continue
            found.extend({place.key: f"{place.base}/instances/{name}"} for name in names if name.startswith("run-"))
        return found

    def leave(self) -> None:
        """Remove what is empty and go back to where the keeper came from; for the keeper's own end.

        What is just dying (a zygote, say) cannot be moved and holds its group until it is dead: that is waited for, for
        a second at most. What then still holds a group keeps it.
        """
        self._leave_home()
        for tries_left in reversed(range(_LEAVE_TRIES)):
            held = [place for place in self._places.values() if not self._vacate(place)]
            if not held or not tries_left:
                return
            time.sleep(_LEAVE_PAUSE_S)

    def _vacate(self, place: _Place) -> bool:
        """Remove the base with all below it; whether it is gone."""
        cgroup_files.remove({place.key: f"{place.base}/instances"})
        for pid in (cgroup_files.read(f"{place.base}/keeper/cgroup.procs") or "").split():
            try:
                cgroup_files.write(f"{place.own}/cgroup.procs", pid)
            except OSError:
                continue  # that one has ended meanwhile; the others have not
        return cgroup_files.remove({place.key: place.base})


def _delegated(group: str) -> bool:
    """Whether the machine's manager (systemd) has given this group away to be divided further."""
    for name in ("trusted.delegate", "user.delegate"):
        try:
            if os.getxattr(group, name) == b"1":
                return True
        except OSError:
            continue
    return False


def _quota(cpu_milli: int) -> tuple[int, int]:
    """CFS quota and period in microseconds for so many thousandths of a core."""
    period = _PERIOD_US if cpu_milli * _PERIOD_US // 1000 >= _LEAST_QUOTA_US else _LONG_PERIOD_US
    return max(_LEAST_QUOTA_US, cpu_milli * period // 1000), period


def _set_limit(limit: str, key: str, group: str, limits: Limits) -> None:
    """Write one limit into a group of hierarchy `key`. Raises OSError."""
    unified = key == UNIFIED
    if limit == "pids":
        cgroup_files.write(f"{group}/pids.max", str(limits.pids))
    elif limit == "memory":
        _set_memory(unified, group, limits.memory_bytes)
    elif unified:
        quota, period = _quota(limits.cpu_milli)
        cgroup_files.write(f"{group}/cpu.max", f"{quota} {period}")
    else:
        quota, period = _quota(limits.cpu_milli)
        cgroup_files.write(f"{group}/cpu.cfs_period_us", str(period))
        try:
            cgroup_files.write(f"{group}/cpu.cfs_quota_us", str(quota))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # A group above has a lower ceiling, and that one holds for this group too.


def _set_memory(unified: bool, group: str, size: int) -> None:
    """A hard ceiling, swap counted in where the kernel counts it, so that the limit does not move memory to disk."""
    if unified:
        cgroup_files.write(f"{group}/memory.max", str(size))
        swap, value = f"{group}/memory.swap.max", "0"
        together = f"{group}/memory.oom.group"
        if os.path.exists(together):
            cgroup_files.write(together, "1")
    else:
        cgroup_files.write(f"{group}/memory.limit_in_bytes", str(size))
        swap, value = f"{group}/memory.memsw.limit_in_bytes", str(size)
    if os.path.exists(swap):
        cgroup_files.write(swap, value)
