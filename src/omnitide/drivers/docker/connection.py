"""A connection to the engine with all that lives as long as it does: its events, stops under way, garbage."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Container
from typing import Final

from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.events import Events
from omnitide.drivers.docker.garbage import EVERY_S, collect
from omnitide.drivers.docker.images import Images
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.docker.stopping import Stops
from omnitide.drivers.protocol import DriverError, Run

FIRST_GARBAGE_S: Final = 60.0
BEGIN_DEADLINE: Final = 10.0


class Connection:
    """`open`, and `close` when it is lost."""

    def __init__(self, engine: Engine, node_id: str, notes: Notes, making: Container[str]) -> None:
        self.engine = engine
        self.images = Images(notes)
        self.stops = Stops(notes)
        self.lost = False
        self._node_id = node_id
        self._notes = notes
        self._making = making
        self._soon = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls,
        address: str,
        node_id: str,
        notes: Notes,
        tell: Callable[[Run], None],
        lost: Callable[[DriverError], None],
        making: Container[str],
        tidy: Callable[[], Awaitable[None]],
    ) -> "Connection":
        """Raises DriverError. `lost` is told once, if the engine goes away later. `tidy`: is called now and then."""
        engine = Engine(address)
        made = cls(engine, node_id, notes, making)
        try:
            await engine.open()
            events = Events(engine, node_id, notes, tell)
            following = asyncio.create_task(made._follow(events, lost), name="container-events")
            made._tasks.append(following)
            began = asyncio.create_task(events.began.wait())
            await asyncio.wait((following, began), timeout=BEGIN_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
            began.cancel()
            if not events.began.is_set():
                raise made._error or DriverError(
                    "the engine does not tell of its events", cause="driver-unavailable", permanent=False
                )
            made._tasks.append(asyncio.create_task(made._collect_forever(tidy), name="container-garbage"))
        except BaseException:
            await made.close()
            raise
        return made

    _error: DriverError | None = None

    async def _follow(self, events: Events, lost: Callable[[DriverError], None]) -> None:
        try:
            await events.run()
        except DriverError as error:
            self.lost, self._error = True, error
            lost(error)

    def collect_soon(self) -> None:
        """The engine's disk is full."""
        self._soon.set()

    async def _collect_forever(self, tidy: Callable[[], Awaitable[None]]) -> None:
        wait = FIRST_GARBAGE_S
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()
            wait = EVERY_S
            try:
                await tidy()
                await collect(
                    self.engine,
                    self._node_id,
                    self._notes,
                    time.time_ns() // 1_000_000,
                    busy=lambda name: name in self._making,
                )
            except DriverError:
                # An engine that is away is noticed elsewhere; the next round comes.
                continue

    async def close(self) -> None:
        self.lost = True
        await self.stops.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.engine.close()
