"""When the process of an engine looks for cyclic garbage: in a quiet moment, or when much has piled up.

CPython's own collector counts allocations, so it stops the loop when there is most to do, for tens of milliseconds
with a large state. Almost nothing here is cyclic: reference counts free nearly all of it.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import psutil

from omnitide.telemetry import logs

_log = logs.get(__name__)

PERIOD_S: Final = 1.0


class CollectorLimits(NamedTuple):
    """Objects are those allocated and not freed since the last collection; CPython counts them."""

    quiet_objects: int = 10_000
    """Fewer are not worth a collection."""
    most_objects: int = 500_000
    """More are collected even when it is busy."""
    most_growth_bytes: int = 128 << 20
    """So is a growth of the resident memory by this much: few objects may hold large buffers."""
    full_every_s: float = 3600.0
    """How often, in a quiet moment, what had outlived an earlier collection is looked at again."""


class Collector:
    """Takes over from the automatic collector for as long as it runs.

    `work` is any number that changes when something was done, the revision say: equal twice in a row means quiet.
    """

    def __init__(self, work: Callable[[], int], limits: CollectorLimits | None = None) -> None:
        self._work = work
        self._limits = limits or CollectorLimits()
        self._process = psutil.Process()
        self._last_work = -1
        self._resident = self._process.memory_info().rss
        self._full_at = time.monotonic() + self._limits.full_every_s

    async def run(self) -> None:
        """Until cancelled; the automatic collector is then as it was."""
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            while True:
                await asyncio.sleep(PERIOD_S)
                self.look()
        finally:
            if was_enabled:
                gc.enable()

    def look(self) -> bool:
        """Collect if it is time to. Whether it was."""
        work = self._work()
        quiet, self._last_work = work == self._last_work, work
        objects = gc.get_count()[0]
        if objects >= self._limits.most_objects or self._grown():
            self._collect(everything=False)
        elif not quiet or objects < self._limits.quiet_objects:
            return False
        else:
            self._collect(everything=time.monotonic() >= self._full_at)
        return True

    def _grown(self) -> bool:
        return self._process.memory_info().rss - self._resident > self._limits.most_growth_bytes

    def _collect(self, *, everything: bool) -> None:
        """What stays is frozen: the next collection does not walk over it again, unless it looks at everything."""
        began = time.perf_counter()
        if everything:
            gc.unfreeze()
            self._full_at = time.monotonic() + self._limits.full_every_s
        found = gc.collect()
        gc.freeze()
        self._resident = self._process.memory_info().rss
        _log.debug("collected", found=found, everything=everything, took_ms=(time.perf_counter() - began) * 1000)
