"""Services of this process that run beside everything else: one that breaks is seen, and begun again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from omnitide.operations.runtime import Check
from omnitide.telemetry import logs

_log = logs.get(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
WELL_AFTER_S: Final = 5.0
"""A service that has run for so long is taken to be well again: it is named no more, and its next pause is short."""


class Pauses(NamedTuple):
    first_s: float = FIRST_PAUSE_S
    longest_s: float = LONGEST_PAUSE_S
    well_after_s: float = WELL_AFTER_S


class Services:
    """Each has a name, and a function that makes what is to run until it is cancelled; it is called anew each time."""

    def __init__(self, pauses: Pauses | None = None) -> None:
        self._pauses = pauses or Pauses()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._down: dict[str, str] = {}

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Raises ValueError for a name that runs already."""
        if name in self._tasks:
            raise ValueError(f"the service {name} runs already")
        self._tasks[name] = asyncio.get_running_loop().create_task(self._keep(name, work), name=name)

    async def end(self, *names: str) -> None:
        """Cancel these, or all, and wait until they are over."""
        tasks = [self._tasks.pop(name) for name in names or tuple(self._tasks) if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def checks(self) -> list[Check]:
        """Of each service, whether it runs."""
        return [Check(name, name not in self._down, self._down.get(name, "")) for name in self._tasks]

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        pause_s = self._pauses.first_s
        while True:
            began = loop.time()
            well = loop.call_later(self._pauses.well_after_s, self._down.pop, name, None)
            try:
                await work()
                reason = "it ended by itself"
                _log.error("a service ended that should go on", service=name)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"[:200]
                _log.exception("a service broke; it is begun again", service=name, pause_s=pause_s)
            finally:
                well.cancel()
            if loop.time() - began >= self._pauses.well_after_s:
                pause_s = self._pauses.first_s
            self._down[name] = f"it broke and is begun again: {reason}"
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._pauses.longest_s)
