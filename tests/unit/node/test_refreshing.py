"""Newer secrets for what runs: put in place, then told by the signals that are owed, however often it is asked anew."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from omnitide.drivers.protocol import DriverError, RunKey
from omnitide.node.instructions import RefreshValues
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.provisioner import NoProvisions
from omnitide.node.provisions.refreshing import Refreshes

DEADLINE_S = 10.0
HUP, USR1 = signal.SIGHUP.value, signal.SIGUSR1.value


class Files(NoProvisions):
    """Provisions whose Nexus may hang, or be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()
        self.error: DriverError | None = None

    async def refresh(self, needs: Needs) -> None:
        self.asked += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error


class Signals:
    """A driver as far as refreshes know one."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    async def signal(self, key: RunKey, number: int) -> None:
        await asyncio.sleep(0)
        self.sent.append(number)


class World:
    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.files, self.driver = Files(), Signals()
        drivers = {"process": self.driver}
        self.refreshes = Refreshes(group=group, drivers=drivers, provisions=self.files)  # type: ignore[arg-type]

    async def begin(self, *signals: str) -> None:
        needs = Needs(instance="a", namespace="default")
        asked = self.files.asked
        self.refreshes.begin(RefreshValues(driver="process", key=RunKey("a", 1), needs=needs, signals=signals))
        await until(lambda: self.files.asked > asked)

    async def sent(self, *numbers: int) -> None:
        await until(lambda: len(self.driver.sent) >= len(numbers))
        for _ in range(10):
            await asyncio.sleep(0)  # whatever else is about to be sent
        assert sorted(self.driver.sent) == sorted(numbers)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world = World(group)
        yield world
        world.refreshes.end("a")


async def test_signals_of_one_that_was_overtaken_are_sent_by_the_next(world: World) -> None:
    await world.begin("SIGHUP")
    await world.begin("SIGUSR1")
    await world.begin()
    world.files.answers.set()
    await world.sent(HUP, USR1)


async def test_what_was_sent_is_owed_no_more(world: World) -> None:
    world.files.answers.set()
    await world.begin("SIGHUP")
    await world.sent(HUP)
    await world.begin("SIGUSR1")
    await world.sent(HUP, USR1)


async def test_an_instance_that_has_ended_owes_nothing_to_the_next_attempt(world: World) -> None:
    await world.begin("SIGHUP")
    world.refreshes.end("a")
    await world.begin("SIGUSR1")
    world.files.answers.set()
    await world.sent(USR1)


async def test_what_cannot_be_done_now_is_tried_again_and_what_never_can_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnitide.node.provisions.refreshing.AGAIN_S", 0.0)
    world.files.error = DriverError("away", cause="secrets-unavailable", permanent=False)
    world.files.answers.set()
    await world.begin("SIGHUP")
    await until(lambda: world.files.asked >= 3)
    world.files.error = None
    await world.sent(HUP)

    world.files.error = DriverError("no tmpfs", cause="no-tmpfs", permanent=True)
    await world.begin("SIGUSR1")
    asked = world.files.asked
    await world.sent(HUP)
    assert world.files.asked == asked
    world.files.error = None
    await world.begin()
    await world.sent(HUP)
