"""What is made ready before a start: in turns by kind of work, so that what needs no download never waits for one."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from omnitide.drivers.protocol import DriverError, Launch, Progress, RunKey
from omnitide.node.preparing import MAX_FETCHES, MAX_LOCAL, CalledOff, Preparations

DEADLINE_S = 10.0


class Images:
    """A driver as far as preparations know one: it has some images, and others it has to fetch, which never ends unless
    somebody lets it."""

    name = "docker"

    def __init__(self) -> None:
        self.here = {"present"}
        self.fetching: list[str] = []
        self.let: dict[str, asyncio.Event] = {}

    async def fetches(self, launch: Launch) -> str:
        await asyncio.sleep(0)
        image = launch.command[0]
        return "" if image in self.here else image

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        image = launch.command[0]
        if image in self.here:
            return
        self.fetching.append(image)
        progress(f"pulling {image}")
        await self.let.setdefault(image, asyncio.Event()).wait()
        self.here.add(image)


class Plain:
    """One that fetches nothing, and may hang all the same."""

    def __init__(self, name: str = "process") -> None:
        self.name = name
        self.hangs = False

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        if self.hangs:
            await asyncio.Event().wait()


class World:
    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.preparations = Preparations(self.said.__setitem__)
        self._tasks: list[asyncio.Task[Launch]] = []

    def begin(self, driver: object, instance: str, image: str = "x", attempt: int = 1) -> "asyncio.Task[Launch]":
        launch = Launch(key=RunKey(instance, attempt), name=instance, command=(image,), environment={})
        task = asyncio.ensure_future(self.preparations.prepare(driver, launch))  # type: ignore[arg-type]
        self._tasks.append(task)
        return task

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.end()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0)


async def test_what_needs_no_download_never_waits_behind_what_does(world: World) -> None:
    images, plain = Images(), Plain()
    for number in range(2 * MAX_FETCHES):
        world.begin(images, f"slow-{number}", f"image-{number}")
    await until(lambda: len(images.fetching) == MAX_FETCHES)
    async with asyncio.timeout(DEADLINE_S):
        await world.begin(plain, "plain")
        await world.begin(images, "quick", "present")


async def test_a_driver_that_hangs_holds_up_no_other(world: World) -> None:
    hung, plain = Plain("other"), Plain()
    hung.hangs = True
    for number in range(2 * MAX_LOCAL):
        world.begin(hung, f"hung-{number}")
    async with asyncio.timeout(DEADLINE_S):
        await world.begin(plain, "plain")


async def test_who_waits_says_what_for(world: World) -> None:
    images = Images()
    for number in range(MAX_FETCHES):
        world.begin(images, f"slow-{number}", f"image-{number}")
    await until(lambda: len(images.fetching) == MAX_FETCHES)
    last = world.begin(images, "last", "wanted")
    await until(lambda: "last" in world.said)
    assert world.said["last"] == (
        f"waiting to fetch wanted: {MAX_FETCHES} downloads for docker are under way, the most at once"
        f" (image-0, image-1, image-2 and {MAX_FETCHES - 3} more)"
    )
    images.let["image-3"].set()
    await until(lambda: "wanted" in images.fetching)
    images.let["wanted"].set()
    async with asyncio.timeout(DEADLINE_S):
        await last
    assert world.said["last"] == ""


async def test_many_that_wait_for_one_image_take_one_turn(world: World) -> None:
    images = Images()
    same = [world.begin(images, f"same-{number}", "big") for number in range(2 * MAX_FETCHES)]
    await until(lambda: images.fetching == ["big"])
    await until(lambda: f"same-{2 * MAX_FETCHES - 1}" in world.said)
    assert world.said["same-1"] == "waiting for big, which is being fetched for another instance"
    world.begin(images, "other", "small")
    await until(lambda: images.fetching == ["big", "small"])
    images.let["big"].set()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*same)
    assert images.fetching == ["big", "small"], "fetched once for all of them"


async def test_what_another_has_fetched_meanwhile_takes_no_turn_of_downloads(world: World) -> None:
    images = Images()
    same = [world.begin(images, f"same-{number}", "big") for number in range(2)]
    await until(lambda: "waiting for big" in world.said.get("same-1", ""))
    for number in range(MAX_FETCHES):
        world.begin(images, f"slow-{number}", f"image-{number}")
    await until(lambda: len(images.fetching) == MAX_FETCHES)
    images.let["big"].set()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*same)
    assert len(images.fetching) == MAX_FETCHES + 1, "downloads that never end have all turns"


async def test_a_call_off_ends_its_own_attempt_and_no_newer_one(world: World) -> None:
    images = Images()
    second = world.begin(images, "a", "image", attempt=2)
    await until(lambda: images.fetching)
    world.preparations.call_off(RunKey("a", 1))
    images.let["image"].set()
    async with asyncio.timeout(DEADLINE_S):
        assert (await second).key == RunKey("a", 2)

    third = world.begin(images, "a", "other", attempt=3)
    await until(lambda: len(images.fetching) == 2)
    world.preparations.call_off(RunKey("a", 3))
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(CalledOff):
            await third


async def test_what_is_not_ready_in_time_says_so_and_waiting_for_a_turn_is_not_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Images()
    monkeypatch.setattr("omnitide.node.preparing.FETCH_DEADLINE", 0.05)

    async def late(number: int) -> str:
        with pytest.raises(DriverError) as refused:
            await world.begin(images, f"late-{number}", f"image-{number}")
        assert (refused.value.cause, refused.value.permanent) == ("preparation", False)
        return str(refused.value)

    async with asyncio.timeout(DEADLINE_S):
        told = await asyncio.gather(*(late(number) for number in range(2 * MAX_FETCHES)))
    assert told[0] == "this node could not fetch image-0 within 0.05 s"
    assert len(images.fetching) == 2 * MAX_FETCHES, "each had a turn of its own"
