"""Keeps one driver under watch: lists its runs, follows their changes, and begins again when its runtime went away."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Final

from omnitide.drivers.protocol import Driver, DriverError, DriverInfo, Run, RunKey
from omnitide.node.asked_stops import as_told
from omnitide.node.clock import Clock
from omnitide.node.closing import closing
from omnitide.node.stimuli import DriverLost, Recovered, RunChanged, Stimulus
from omnitide.telemetry import logs

RECOVER_DEADLINE: Final = 30.0
PROBE_DEADLINE: Final = 2.0
RETRY: Final = (0.1, 5.0)
"""Seconds before the first and, doubling, the last try to reach a runtime that went away."""

log = logs.get(__name__)


class Watching:
    """One driver's watch; `run` goes on until it is cancelled."""

    def __init__(
        self,
        driver: Driver,
        feed: Callable[[Stimulus], Awaitable[None]],
        clock: Clock,
        told: Callable[[str, Run], Run] = as_told,
    ) -> None:
        """`told`: what to make of a run as the driver tells it; see `asked_stops`."""
        self._told = told
        self._driver = driver
        self._feed = feed
        self._clock = clock
        self.listed = asyncio.Event()
        """Set once the runs have been listed for the first time."""
        self._complained = ""
        """Why it is not available, as told last; empty while it is."""
        self._relist = asyncio.Event()
        self._unsure: set[RunKey] | None = None
        """While a list is being made: runs started meanwhile."""

    def relist(self) -> None:
        """Ask the driver again what it runs: something about it is not known."""
        self._relist.set()

    def started(self, key: RunKey) -> None:
        """The driver has just started this run."""
        if self._unsure is not None:
            self._unsure.add(key)

    async def probe(self) -> DriverInfo:
        """What the driver can do now; a runtime that does not answer in time is not healthy."""
        try:
            async with asyncio.timeout(PROBE_DEADLINE):
                with _as_its_own():
                    return await self._driver.probe()
        except (TimeoutError, DriverError) as error:
            detail = str(error) or f"no answer within {PROBE_DEADLINE:g} s"
            return DriverInfo(name=self._driver.name, version="", healthy=False, detail=detail, silent=True)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        wait = RETRY[0]
        while True:
            began = loop.time()
            try:
                async with contextlib.aclosing(self._changes()) as changes:
                    async for stimulus in changes:
                        await self._feed(stimulus)
                        self.listed.set()
                        self._well()
                reason = "its watch ended"
            except (DriverError, TimeoutError) as error:
                reason = str(error) or "no answer in time"
            if reason != self._complained:
                # Once, not at each try: it may be away for days.
                self._complained = reason
                log.warning("the driver is not available", driver=self._driver.name, reason=reason)
            await self._feed(DriverLost(at_ms=self._clock.now_ms(), driver=self._driver.name))
            wait = RETRY[0] if loop.time() - began > RETRY[1] else min(wait * 2, RETRY[1])
            await asyncio.sleep(wait)

    def _well(self) -> None:
        if self._complained:
            self._complained = ""
            log.info("the driver is available again", driver=self._driver.name)

    async def _changes(self) -> AsyncGenerator[Stimulus]:
        """The list of runs, then every change; a list again whenever it is asked for.

        Raises DriverError when the runtime went away, TimeoutError when it does not answer.
        """
        runs = self._driver.watch()
        change = asyncio.ensure_future(_next(runs))
        relist = asyncio.ensure_future(self._relist.wait())
        try:
            # Let the watch begin before the list is made, so that nothing falls between the two. A change that is
            # then told late is older than the list, which the reconciler sees by its attempt and phase.
            await asyncio.sleep(0)
            yield await self._list()
            while True:
                await asyncio.wait((change, relist), return_when=asyncio.FIRST_COMPLETED)
                if change.done():
                    run = change.result()
                    if run is None:
                        return
                    change = asyncio.ensure_future(_next(runs))
                    told = self._told(self._driver.name, run)
                    yield RunChanged(at_ms=self._clock.now_ms(), driver=self._driver.name, run=told)
                elif relist.done():
                    self._relist.clear()
                    relist = asyncio.ensure_future(self._relist.wait())
                    yield await self._list()
        finally:
            for task in (change, relist):
                task.cancel()
            await asyncio.gather(change, relist, return_exceptions=True)
            with contextlib.suppress(DriverError):
                async with closing(runs):
                    pass

    async def _list(self) -> Recovered:
        self._unsure = set()
        try:
            async with asyncio.timeout(RECOVER_DEADLINE):
                with _as_its_own():
                    runs = await self._driver.recover()
            return Recovered(
                at_ms=self._clock.now_ms(),
                driver=self._driver.name,
                runs=tuple(self._told(self._driver.name, run) for run in runs),
                unsure=frozenset(self._unsure),
            )
        finally:
            self._unsure = None


async def _next(runs: AsyncIterator[Run]) -> Run | None:
    """The next change, or None at the end: a future cannot hold StopAsyncIteration."""
    with _as_its_own():
        return await anext(runs, None)


@contextlib.contextmanager
def _as_its_own() -> Generator[None]:
    """A defect of a driver, which others may have written, costs that driver and not the node."""
    try:
        yield
    except (DriverError, TimeoutError):
        raise
    except Exception as error:
        message = f"a defect of the driver: {type(error).__name__}: {error}"
        raise DriverError(message, cause="driver-defect", permanent=False) from error
