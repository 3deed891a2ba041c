"""What has to be there before a run starts and may take long to get: bounded, told of, and called off at a stop.

Turns are taken by kind of work and not by start: of a driver, one kind for what it fetches and one for what it has here
already. So a start that needs no download never waits behind one that does, nor behind another driver that hangs.
Downloads of what an instance is given besides, its artifacts say, have turns of their own (`provisions`).
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from omnitide.drivers.protocol import Driver, DriverError, Launch, Progress, RunKey
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.provisioner import NoProvisions, Provisions
from omnitide.node.turns import Turns

MAX_FETCHES: Final = 8
"""Of one driver at once; further ones wait their turn."""
MAX_LOCAL: Final = 16
"""Preparations of one driver at once that fetch nothing."""
FETCH_DEADLINE: Final = 1800.0
"""For each turn."""
LOCAL_DEADLINE: Final = 1800.0
"""A large module may have to be compiled in it."""

Told = Callable[[str, str], None]
"""Is told an instance and how far its preparation has come; an empty text when it is over."""


@runtime_checkable
class Fetches(Protocol):
    """A driver whose `prepare` may have to fetch something. What one does that does not say so counts as local."""

    async def fetches(self, launch: Launch) -> str:
        """What `prepare` would fetch now, as people call it (an image); empty for nothing. Raises DriverError."""
        ...


class CalledOff(DriverError):
    """The instance is not wanted any more."""

    def __init__(self) -> None:
        super().__init__("stopped before it could start", cause="called-off", permanent=False)


class _Kinds(NamedTuple):
    """The turns of one driver."""

    local: Turns
    fetches: Turns


class Preparations:
    """Preparations by attempt."""

    def __init__(self, told: Told, provisions: Provisions | None = None) -> None:
        self._told = told
        self._provisions = provisions or NoProvisions()
        self._kinds: dict[str, _Kinds] = {}
        self._fetching: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """By driver and what it fetches: for whoever needs the same, one fetches."""
        self._open: dict[RunKey, asyncio.Task[Launch]] = {}

    async def prepare(self, driver: Driver, launch: Launch, needs: Needs | None = None) -> Launch:
        """The launch with all that it needs in its place. Raises DriverError."""
        key = launch.key

        def told(text: str) -> None:
            self._told(key.instance, text)

        async def ready(ready: Launch) -> None:
            await self._ready(driver, ready, told)

        async def work() -> Launch:
            whole = launch if needs is None else await self._provisions.provide(driver, launch, needs, told, ready)
            await ready(whole)
            return whole

        task = self._open[key] = asyncio.create_task(work(), name="prepare")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise CalledOff from None
            task.cancel()
            raise
        finally:
            if self._open.get(key) is task:
                del self._open[key]
            self._told(key.instance, "")

    def call_off(self, key: RunKey) -> None:
        """End an attempt's preparation, if it is under way; that of another attempt of the instance goes on."""
        task = self._open.get(key)
        if task is not None:
            task.cancel()

    async def _ready(self, driver: Driver, launch: Launch, told: Progress) -> None:
        """Have the driver prepare a launch, in a turn of the kind that it needs. Raises DriverError."""
        kinds = self._kinds_of(driver.name)
        what = await self._to_fetch(driver, launch, told, kinds)
        if what:
            lock = self._fetching.setdefault((driver.name, what), asyncio.Lock())
            if lock.locked():
                told(f"waiting for {what}, which is being fetched for another instance")
            async with lock:
                if await self._to_fetch(driver, launch, told, kinds):
                    async with kinds.fetches.turn(what, told, FETCH_DEADLINE):
                        await driver.prepare(launch, told)
                    return
        async with kinds.local.turn(launch.name, told, LOCAL_DEADLINE):
            await driver.prepare(launch, told)

    async def _to_fetch(self, driver: Driver, launch: Launch, told: Progress, kinds: _Kinds) -> str:
        if not isinstance(driver, Fetches):
            return ""
        async with kinds.local.turn(launch.name, told, LOCAL_DEADLINE):
            return await driver.fetches(launch)

    def _kinds_of(self, driver: str) -> _Kinds:
        kinds = self._kinds.get(driver)
        if kinds is None:
            kinds = self._kinds[driver] = _Kinds(
                Turns("prepare", f"preparations for {driver}", MAX_LOCAL),
                Turns("fetch", f"downloads for {driver}", MAX_FETCHES),
            )
        return kinds
