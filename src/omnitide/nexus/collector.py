"""When the process of an engine looks for cyclic garbage: in a quiet moment, or when its memory has grown.

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
    """Objects are those allocated and not freed since the last look; CPython counts them."""

    objects: int = 10_000
    """Fewer are not worth a look."""
    full_every_s: float = 600.0
    """How often, in a quiet moment, everything is looked at: also what had outlived an earlier collection."""
    growth_bytes: int = 256 << 20
    """When the resident memory has grown by so much since then, everything is looked at even while it is busy."""
    full_share: float = 0.1
    """Of the time, collections while it is busy take no more: with a large state each is a long pause."""


class Collector:
    """Takes over from the automatic collector for as long as it runs.

    `work` is any number that changes when something was done, the revision say: equal twice in a row means quiet. What
    was made while it was busy is frozen unseen, which takes no time, so that the first quiet moment does not have to
    walk over all of it at once; the next look at everything finds what of it is garbage.
    """

    def __init__(self, work: Callable[[], int], limits: CollectorLimits | None = None) -> None:
        self._work = work
        self._limits = limits or CollectorLimits()
        self._process = psutil.Process()
        self._last_work = -1
        self._resident_at_full = self._resident()
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
        now = time.monotonic()
        grown = self._resident() - self._resident_at_full > self._limits.growth_bytes
        if grown and now >= self._full_not_before:
            self._collect(everything=True)
        elif gc.get_count()[0] < self._limits.objects:
            return False
        elif quiet:
            self._collect(everything=now >= self._full_at)
        else:
            gc.freeze()
            return False
        return True

    def _resident(self) -> int:
        return self._process.memory_info().rss

    def _collect(self, *, everything: bool) -> None:
        """What stays is frozen: the next collection does not walk over it again, unless it looks at everything."""
        began = time.monotonic()
        if everything:
            gc.unfreeze()
        found = gc.collect()
        gc.freeze()
        took_s = time.monotonic() - began
        if everything:
            self._resident_at_full = self._resident()
            self._full_not_before = began + took_s + took_s / self._limits.full_share
            self._full_at = began + self._limits.full_every_s
        _log.debug("collected", found=found, everything=everything, took_ms=took_s * 1000)
