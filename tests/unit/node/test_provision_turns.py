# ruff: noqa: ASYNC240 folders of a test are looked at where they are
"""What one instance waits for holds up no other: a server that hangs, a volume that takes long to be filled."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverError, Launch, RunKey
from omnitide.model.provisions import Artifact, Volume
from omnitide.node.provisions.artifacts import MAX_DOWNLOADS, MAX_OF_ONE_SERVER
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.provisioner import MAX_FILLING, NodeProvisions
from omnitide.node.provisions.supply import SupplyAway, Values

DEADLINE_S = 20.0


class Away:
    """A supply that is never there."""

    async def values(self, instance: str) -> Values:
        raise SupplyAway(instance)

    async def blob(self, instance: str, digest: str, offset: int) -> AsyncIterator[bytes]:
        raise SupplyAway(instance)
        yield b""


class Images:
    """A driver whose instances come with files, as far as provisions know one. To copy some takes for ever unless
    somebody lets it."""

    name = "docker"

    def __init__(self) -> None:
        self.filling: list[str] = []
        self.let: dict[str, asyncio.Event] = {}

    async def owner(self, launch: Launch) -> tuple[int, int]:
        await asyncio.sleep(0)
        return 0, 0

    async def fill(self, launch: Launch, target: str, directory: str) -> None:
        self.filling.append(launch.key.instance)
        if launch.key.instance in self.let:
            await self.let[launch.key.instance].wait()
        (Path(directory) / "from-image").touch()


class World:
    def __init__(self, folder: Path) -> None:
        self.volumes = folder / "volumes"
        self.images = Images()
        self.said: dict[str, list[str]] = {}
        self.provisions = NodeProvisions(
            folder, Away(), node_id="n1", cache_bytes=1 << 20, most=1 << 20, memory=folder / "memory"
        )
        self._tasks: list[asyncio.Task[Launch]] = []

    def begin(self, instance: str, **needs: object) -> "asyncio.Task[Launch]":
        launch = Launch(key=RunKey(instance, 1), name=instance, command=("x",), environment={})
        wanted = Needs(instance=instance, namespace="default", mounted=True, own_paths=True, **needs)  # type: ignore[arg-type]

        async def ready(launch: Launch) -> None:
            await asyncio.sleep(0)

        told = self.said.setdefault(instance, []).append
        provided = self.provisions.provide(self.images, launch, wanted, told, ready)  # type: ignore[arg-type]
        task = asyncio.ensure_future(provided)
        self._tasks.append(task)
        return task

    def fill(self, instance: str, volume: str, *, hangs: bool = False) -> "asyncio.Task[Launch]":
        if hangs:
            self.images.let[instance] = asyncio.Event()
        return self.begin(instance, volumes={"v": Volume(target="/data", name=volume)})

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.provisions.leave()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.end()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.002)


async def ended(task: "asyncio.Task[Launch]") -> Launch:
    async with asyncio.timeout(DEADLINE_S):
        return await task


async def test_a_volume_that_takes_long_to_be_filled_holds_up_no_other(world: World) -> None:
    world.fill("slow", "large", hangs=True)
    await until(lambda: world.images.filling == ["slow"])
    await ended(world.fill("quick", "small"))
    assert (world.volumes / "default/small/from-image").exists()
    assert not (world.volumes / "default/large").exists(), "it is there when it is whole"


async def test_who_wants_the_same_volume_waits_for_it_and_finds_it_filled(world: World) -> None:
    first = world.fill("first", "shared", hangs=True)
    await until(lambda: world.images.filling == ["first"])
    second = world.fill("second", "shared")
    await until(lambda: world.said["second"])
    assert world.said["second"] == ["waiting for volume default/shared, which is being filled for another instance"]
    world.images.let["first"].set()
    await ended(first)
    await ended(second)
    assert world.images.filling == ["first"]


async def test_who_waits_for_a_volume_fills_it_where_the_first_is_called_off(world: World) -> None:
    first = world.fill("first", "shared", hangs=True)
    await until(lambda: world.images.filling == ["first"])
    second = world.fill("second", "shared")
    await until(lambda: world.said["second"])
    first.cancel()
    await ended(second)
    assert world.images.filling == ["first", "second"]
    assert (world.volumes / "default/shared/from-image").exists()


async def test_so_many_volumes_are_filled_at_once_and_each_has_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnitide.node.provisions.provisioner.FILL_DEADLINE", 0.2)
    tasks = [world.fill(f"i{number}", f"v{number}", hangs=True) for number in range(MAX_FILLING + 1)]
    await until(lambda: len(world.images.filling) == MAX_FILLING)
    (waits,) = [name for name in world.said if name not in world.images.filling]
    await until(lambda: world.said[waits])
    assert f"{MAX_FILLING} volumes are under way, the most at once" in world.said[waits][0]
    with pytest.raises(DriverError, match=r"this node could not fill volume default/v0 within 0\.2 s"):
        await ended(tasks[0])
    await until(lambda: waits in world.images.filling)


async def test_a_server_that_hangs_leaves_turns_to_the_others(world: World) -> None:
    asked: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await reader.read()

    async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    servers = [await asyncio.start_server(one, "127.0.0.1", 0) for one in (silent, good)]
    hung, well = (f"127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in servers)
    slow = [
        world.begin(f"slow-{number}", artifacts=(Artifact(source=f"http://{hung}/{number}"),))
        for number in range(2 * MAX_DOWNLOADS)
    ]
    await until(lambda: len(asked) == MAX_OF_ONE_SERVER)
    launch = await ended(world.begin("quick", artifacts=(Artifact(source=f"http://{well}/file"),)))
    assert Path(launch.mounts[0].source).read_bytes() == b"ok"
    assert len(asked) == MAX_OF_ONE_SERVER
    waits = [text for told in world.said.values() for text in told if text.startswith("waiting to fetch")]
    assert len(waits) == 2 * MAX_DOWNLOADS - MAX_OF_ONE_SERVER
    assert f"{MAX_OF_ONE_SERVER} downloads from {hung} are under way, the most at once (http://{hung}/" in waits[0]
    for one in slow:
        one.cancel()
    for one in servers:
        one.close()
    for writer in asked:
        writer.transport.abort()
