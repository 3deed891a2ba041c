"""A node that is told to use another engine than the one that has its containers."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from omnitide.drivers.docker.driver import DockerDriver
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.protocol import DriverError, RunKey
from support.container_engine import DockerEngine
from support.driver_kit import Kit

Moved = Callable[[str], DockerDriver]


@pytest.fixture
async def moved(docker: Kit, tmp_path: Path) -> AsyncIterator[Moved]:
    """The node's driver, with DOCKER_HOST as it is told."""
    made: list[DockerDriver] = []

    def driver(host: str) -> DockerDriver:
        made.append(DockerDriver(str(tmp_path / "docker"), f"node-{tmp_path.name}", find=lambda: host))
        return made[-1]

    yield driver
    for one in made:
        await one.close()


async def test_what_runs_at_the_engine_of_before_is_neither_lost_nor_started_twice(
    docker: Kit, engine: DockerEngine, podman_engine: DockerEngine, moved: Moved, tmp_path: Path
) -> None:
    await docker.start("a", "run")
    await docker.start("b", "exit", "3")
    failed = await docker.end_of("b")
    elsewhere = moved(podman_engine.host)
    with pytest.raises(DriverError) as refused:
        await elsewhere.start(docker.launch(RunKey("c", 1), ("run",)))
    info = await elsewhere.probe()
    assert (info.healthy, info.absent, refused.value.cause) == (False, False, "driver-unavailable")
    assert info.detail == str(refused.value)
    for part in ("1 of this node's instances (a.1)", engine.host, podman_engine.host, "omnitide down"):
        assert part in info.detail
    assert podman_engine.containers(f"label=omnitide.node=node-{tmp_path.name}") == []
    assert len(docker.left()) == 2

    back = moved(engine.host)
    assert [run.key.instance for run in await back.recover()] == ["a", "b"]
    await docker.driver.stop(RunKey("a", 1), grace_ms=0)
    ended = await docker.end_of("a")

    # Now nothing runs there: what is to be known of it comes along.
    gone = moved(podman_engine.host)
    assert await gone.recover() == [ended, failed]
    assert docker.left() == []
    assert [chunk.data async for chunk in gone.logs("a")] == [b"ready\n"]


async def test_an_engine_of_before_that_is_silent_is_asked_for(
    docker: Kit, engine: DockerEngine, moved: Moved, tmp_path: Path
) -> None:
    await docker.start("a", "run")
    note = Notes(str(tmp_path / "docker")).note
    lost = "unix:///no/such/engine.sock"
    note.write_text(lost)
    (found,) = await moved(engine.host).recover()
    assert found.key == RunKey("a", 1), "the same engine at another address"
    assert note.read_text() == engine.host

    await docker.driver.stop(RunKey("a", 1), grace_ms=0)
    await docker.end_of("a")
    await docker.driver.remove_instance("a")
    note.write_text(lost)
    driver = moved(engine.host)
    with pytest.raises(DriverError) as refused:
        await driver.recover()
    assert refused.value.cause == "driver-unavailable"
    assert all(part in str(refused.value) for part in (lost, engine.host, "DOCKER_HOST", f"remove {note}"))
    note.unlink()
    assert await driver.recover() == []


async def test_one_engine_by_two_addresses_is_one(
    docker: Kit, engine: DockerEngine, moved: Moved, tmp_path: Path
) -> None:
    before = await docker.start("a", "run")
    (tmp_path / "s").symlink_to(engine.socket)
    (found,) = await moved(f"unix://{tmp_path / 's'}").recover()
    assert (found.key, found.handle) == (before.key, before.handle)


async def test_a_node_whose_last_container_is_gone_misses_no_engine(docker: Kit, tmp_path: Path) -> None:
    for instance in ("a", "b"):
        await docker.start(instance, "exit", "0")
        await docker.end_of(instance)
    await docker.driver.remove_instance("a")
    assert Notes(str(tmp_path / "docker")).used
    await docker.driver.remove_instance("b")
    assert not Notes(str(tmp_path / "docker")).used
    await docker.start("c", "run")
    assert Notes(str(tmp_path / "docker")).used
