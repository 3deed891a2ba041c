"""What lies about without use on an engine goes: by its age, and sooner while the disk is nearly full."""

import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omnitide.drivers.docker import garbage, naming
from omnitide.drivers.docker.answers import Listed
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.garbage import Keep
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.protocol import RunKey
from support.container_engine import DockerEngine
from support.driver_kit import Kit

IMAGE = "conform:1"
HALF, FULL = 0.5, 0.95
KEEP = Keep(image_ms=2_000, container_ms=5_000)


class Rounds:
    """Of one node's garbage. Ages are counted by the engine's whole seconds of a container's making."""

    def __init__(self, engine: Engine, node: str, folder: Path) -> None:
        self.node = node
        self.notes = Notes(str(folder))
        self.making: set[str] = set()
        self._engine = engine

    def name(self, instance: str, attempt: int = 1) -> str:
        return naming.container_name(self.node, RunKey(instance, attempt))

    async def made_ms(self, name: str) -> int:
        params = {"all": "1", "filters": json.dumps({"name": [f"^/{name}$"]})}
        (one,) = await self._engine.call("GET", "containers/json", list[Listed], params=params)
        return one.created * 1000

    async def collect(self, at_ms: int, used: float = HALF, keep: Keep = KEEP) -> list[str]:
        return await garbage.collect(
            self._engine,
            self.node,
            self.notes,
            at_ms,
            busy=self.making.__contains__,
            keep=keep,
            used=lambda folder: used,
        )


@pytest.fixture
async def rounds(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[Rounds]:
    one = Engine(engine.host)
    await one.open()
    yield Rounds(one, f"node-{tmp_path.name}", tmp_path / "notes")
    await one.close()


async def ended(docker: Kit, instance: str, attempt: int = 1) -> None:
    await docker.start(instance, "exit", "0", attempt=attempt)
    await docker.end_of(instance, attempt)


def image(engine: DockerEngine, name: str) -> str:
    """Of one small file; its id."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name.partition(":")[0]))
    engine.docker("import", "-", name, stdin=packed.getvalue())
    return engine.docker("inspect", "--format", "{{.Id}}", name).stdout.strip()


async def test_a_container_kept_for_its_output_goes_by_age(docker: Kit, rounds: Rounds) -> None:
    await ended(docker, "a", 1)
    await ended(docker, "a", 2)
    first, second = rounds.name("a", 1), rounds.name("a", 2)
    rounds.notes.forget(first)
    made = await rounds.made_ms(first)
    assert await rounds.collect(made + KEEP.container_ms) == []
    assert await rounds.collect(made + KEEP.container_ms + 1) == [first]
    assert not rounds.notes.is_forgotten(first)
    assert docker.left() == [second], "which nobody has forgotten, whatever its age"
    assert await rounds.collect(made + 100 * KEEP.container_ms, FULL) == []


async def test_on_a_full_disk_age_does_not_count(docker: Kit, rounds: Rounds) -> None:
    await ended(docker, "a", 1)
    rounds.notes.forget(rounds.name("a", 1))
    assert await rounds.collect(await rounds.made_ms(rounds.name("a")), KEEP.full) == []
    assert await rounds.collect(await rounds.made_ms(rounds.name("a")), FULL) == [rounds.name("a")]


async def test_one_that_was_never_started_goes_by_age_alone_unless_somebody_makes_it(
    docker: Kit, rounds: Rounds, engine: DockerEngine
) -> None:
    name = rounds.name("b")
    labels = {naming.NODE: rounds.node, naming.INSTANCE: "b", naming.ATTEMPT: "1"}
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    engine.docker("create", "--name", name, *words, IMAGE)
    made = await rounds.made_ms(name)
    late = made + KEEP.container_ms + 1
    assert await rounds.collect(late - 1, FULL) == []
    rounds.making.add(name)
    assert await rounds.collect(late, FULL) == []
    rounds.making.clear()
    assert await rounds.collect(late) == [name]
    assert docker.left() == []


async def test_an_image_goes_some_time_after_its_last_use(docker: Kit, rounds: Rounds, engine: DockerEngine) -> None:
    older, newer, others = (image(engine, name) for name in ("older:1", "newer:1", "others:1"))
    await ended(docker, "a")
    used = engine.docker("inspect", "--format", "{{.Id}}", IMAGE).stdout.strip()
    for one, at_ms in ((older, 1_000), (newer, 1_500), (used, 0)):
        rounds.notes.image_used(one, at_ms, pulled=True)
    assert await rounds.collect(1_000 + KEEP.image_ms) == []
    assert await rounds.collect(1_000 + KEEP.image_ms + 1) == [older]
    assert await rounds.collect(1_500, FULL) == [newer], "the disk is full"
    assert list(rounds.notes.images) == [used], "a container is made of it"
    for kept in (IMAGE, others):
        engine.docker("inspect", kept)


async def test_no_more_goes_in_one_round_than_is_allowed(docker: Kit, rounds: Rounds, engine: DockerEngine) -> None:
    for attempt in (1, 2):
        await ended(docker, "a", attempt)
        rounds.notes.forget(rounds.name("a", attempt))
    unused = image(engine, "unused:1")
    rounds.notes.image_used(unused, 0, pulled=True)
    late = await rounds.made_ms(rounds.name("a", 2)) + KEEP.container_ms + 1
    one = KEEP._replace(most=1)
    expected = [[rounds.name("a", 1)], [rounds.name("a", 2)], [unused], []]
    found = [await rounds.collect(late, keep=one) for _ in range(4)]
    assert sorted(found[:2]) == expected[:2]
    assert found[2:] == expected[2:]


async def test_what_is_gone_already_is_no_trouble(docker: Kit, rounds: Rounds, engine: DockerEngine) -> None:
    gone = image(engine, "gone:1")
    rounds.notes.image_used(gone, 0, pulled=True)
    engine.docker("rmi", "gone:1")
    assert await rounds.collect(KEEP.image_ms + 1) == [gone]
    assert rounds.notes.images == {}


def test_the_ages_are_those_of_the_documentation() -> None:
    assert Keep(image_ms=7 * 86_400_000, container_ms=86_400_000, full=0.85, most=200) == garbage.KEEP
