"""A driver under watch, whatever it does: others may have written it."""

import asyncio
from collections.abc import AsyncIterator

from omnitide.drivers.protocol import DriverInfo, Run
from omnitide.node.clock import WallClock
from omnitide.node.stimuli import DriverLost, Recovered, Stimulus
from omnitide.node.watching import Watching
from support.fake_driver import FakeDriver


class Broken(FakeDriver):
    """Everything that a watch asks of it fails in a way that the protocol does not know."""

    def __init__(self) -> None:
        self.mended = False

    @property
    def name(self) -> str:
        return "broken"

    async def probe(self) -> DriverInfo:
        raise RuntimeError("no idea")

    async def recover(self) -> list[Run]:
        if not self.mended:
            raise KeyError("what")
        return []

    async def watch(self) -> AsyncIterator[Run]:  # type: ignore[override]
        await asyncio.Event().wait()
        yield Run  # type: ignore[misc]


async def test_a_defect_of_a_driver_is_its_own() -> None:
    seen: list[Stimulus] = []
    lost, listed = asyncio.Event(), asyncio.Event()

    async def feed(stimulus: Stimulus) -> None:
        seen.append(stimulus)
        if isinstance(stimulus, DriverLost):
            lost.set()
        if isinstance(stimulus, Recovered):
            listed.set()

    driver = Broken()
    watching = Watching(driver, feed, WallClock())
    info = await watching.probe()
    assert (info.healthy, "RuntimeError: no idea" in info.detail) == (False, True)
    task = asyncio.create_task(watching.run())
    async with asyncio.timeout(30):
        await lost.wait()
        driver.mended = True
        await listed.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
