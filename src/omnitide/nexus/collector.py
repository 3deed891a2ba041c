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
    busy_in_a_row: int = 10
    """After so many collections while it was busy, the next looks at everything too: what was in use at one of them and
    is garbage since would else stay for as long as it is never quiet."""
    most_growth_since_full_bytes: int = 256 << 20
    """And so does one when the resident memory has grown by this much since everything was looked at."""
    full_share: float = 0.1
    """Of the time, collections of everything take no more while it is busy: with a large state each is a long pause."""


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
        self._resident_at_full = self._resident
        self._busy = 0
        """Collections while it was busy since everything was looked at."""
        self._full_not_before = 0.0
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
        resident = self._process.memory_info().rss
        if objects >= self._limits.most_objects or resident - self._resident > self._limits.most_growth_bytes:
            self._collect(everything=self._must_be_full(resident))
        elif not quiet or objects < self._limits.quiet_objects:
            return False
        else:
            self._collect(everything=time.monotonic() >= self._full_at)
        return True

    def _must_be_full(self, resident: int) -> bool:
        """Whether one that is forced while it is busy looks at everything."""
        self._busy += 1
        if time.monotonic() < self._full_not_before:
            return False
        grown = resident - self._resident_at_full
        return self._busy > self._limits.busy_in_a_row or grown > self._limits.most_growth_since_full_bytes

    def _collect(self, *, everything: bool) -> None:
        """What stays is frozen: the next collection does not walk over it again, unless it looks at everything."""
        began = time.perf_counter()
        if everything:
            gc.unfreeze()
            self._full_at = time.monotonic() + self._limits.full_every_s
        found = gc.collect()
        gc.freeze()
        self._resident = self._process.memory_info().rss
        took_s = time.perf_counter() - began
        if everything:
            self._resident_at_full, self._busy = self._resident, 0
            self._full_not_before = time.monotonic() + took_s / self._limits.full_share
        _log.debug("collected", found=found, everything=everything, took_ms=took_s * 1000)
