"""Removes output that is older than a run's spec lets the node keep."""

from collections.abc import Mapping

from omnitide.node.keeper import linux
from omnitide.node.keeper.instance import Instance
from omnitide.node.keeper.loop import Loop

_LOOK_MS = 60_000
_LEAST_MS = 1_000
"""Between two looks: at most, and at least."""


class LogAges:
    """Looks at the instances with such a limit now and then; while there are none, never."""

    def __init__(self, loop: Loop, instances: Mapping[str, Instance]) -> None:
        self._loop = loop
        self._instances = instances
        self._waiting = False

    def arm(self) -> None:
        """An instance may have got such a limit."""
        ages = [it.log.max_age_ms for it in self._instances.values() if it.log is not None and it.log.max_age_ms]
        if ages and not self._waiting:
            self._waiting = True
            self._loop.after(max(_LEAST_MS, min(_LOOK_MS, min(ages) // 2)), self._look)

    def _look(self) -> None:
        self._waiting = False
        now = linux.wall_ms()
        for instance in self._instances.values():
            if instance.log is not None and instance.log.max_age_ms:
                live = any(not run.ended for run in instance.runs.values())
                instance.log.remove_old(now, live=live)
        self.arm()
