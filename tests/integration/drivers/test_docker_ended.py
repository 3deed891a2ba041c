"""What is left of containers that have ended: what they said, for as long as their instance is kept, and no more."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from omnitide.drivers.docker.driver import DockerDriver
from omnitide.drivers.docker.ended import Ended
from omnitide.drivers.protocol import DriverError, LogChunk, RunKey, RunState
from omnitide.model.container import Container
from support.container_engine import DockerEngine
from support.driver_kit import Kit

IMAGE = "conform:1"


def driver_of(kit: Kit) -> DockerDriver:
    assert isinstance(kit.driver, DockerDriver)
    return kit.driver


def joined(told: list[LogChunk]) -> list[LogChunk]:
    """With neighbours of one stream as one piece: how many of them a read brings is a matter of its timing."""
    found: list[LogChunk] = []
    for piece in told:
        last = found[-1] if found else piece
        if found and (last.attempt, last.stream) == (piece.attempt, piece.stream):
            found[-1] = replace(last, data=last.data + piece.data, position=piece.position)
        else:
            found.append(piece)
    return found


async def test_what_an_instance_said_outlives_its_containers(docker: Kit, engine: DockerEngine) -> None:
    part = Container(image=IMAGE, network="backend", tty=True)
    await docker.start("a", "say", "one", "two", container=part)
    await docker.end_of("a")
    await docker.start("a", "order", "6", attempt=2, container=Container(image=IMAGE, network="backend"))
    await docker.end_of("a", 2)
    await docker.driver.remove(RunKey("a", 1))
    told = await docker.output("a")
    middle = next(chunk for chunk in told if b"line 2" in chunk.data)
    asked: list[dict[str, object]] = [{}, {"tail_lines": 3}, {"after": middle.position}, {"since_ms": middle.at_ms}]
    before = [joined(await docker.output("a", **how)) for how in asked]
    assert all(before)
    assert await driver_of(docker).kept_bytes("a") == 0

    await driver_of(docker).put_away("a")
    assert docker.left() == []
    assert engine.docker("network", "ls", "--quiet", "--filter", "label=omnitide.network").stdout == ""
    for _ in range(2):
        assert [joined(await docker.output("a", **how)) for how in asked] == before
        assert await docker.output("a", follow=True)
        assert await docker.driver.recover() == []
        assert await docker.driver.status(RunKey("a", 2)) is None
        docker.another()  # the next node proxy's
    assert 0 < await driver_of(docker).kept_bytes("a") < 64 << 10
    await driver_of(docker).put_away("a")

    await docker.driver.remove_instance("a")
    with pytest.raises(DriverError) as gone:
        await docker.output("a")
    assert gone.value.cause == "not-found"
    assert await driver_of(docker).kept_bytes("a") == 0


@pytest.mark.parametrize("follow", [False, True])
async def test_a_reader_goes_on_in_what_was_put_away_under_it(docker: Kit, follow: bool) -> None:
    for attempt in (1, 2):
        await docker.start("a", "say", f"attempt {attempt}", attempt=attempt)
        await docker.end_of("a", attempt)
    said = b""
    async for chunk in docker.driver.logs("a", follow=follow):
        if chunk.data and not said:
            await driver_of(docker).put_away("a")
        said += chunk.data
    assert said == b"attempt 1\nattempt 2\n"


async def test_what_runs_is_not_put_away(docker: Kit) -> None:
    await docker.start("a", "run")
    with pytest.raises(DriverError) as refused:
        await driver_of(docker).put_away("a")
    assert refused.value.cause == "running"
    assert len(docker.left()) == 1


async def test_what_cannot_be_put_away_stays_and_is_tried_again(docker: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    await docker.start("a", "say", "one")
    await docker.end_of("a")

    def full(self: Ended, record: object) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(Ended, "_write", full)
        with pytest.raises(DriverError) as refused:
            await driver_of(docker).put_away("a")
    assert refused.value.cause == "no-disk"
    assert len(docker.left()) == 1
    assert await docker.text("a") == "one\n"

    docker.another()
    await docker.driver.recover()
    connection = driver_of(docker)._access.connection
    assert connection is not None
    connection.collect_soon()
    async with asyncio.timeout(30):
        while docker.left():
            await asyncio.sleep(0.02)
    assert await docker.text("a") == "one\n"


async def test_a_node_that_is_taken_down_leaves_the_engine_nothing(
    docker: Kit, engine: DockerEngine, tmp_path: Path
) -> None:
    await docker.start("a", "heed")
    await docker.until_output("a", "ready")
    await docker.start("b", "exit", "3")
    failed = await docker.end_of("b")
    node = f"node-{tmp_path.name}"
    last = DockerDriver(str(tmp_path / "docker"), node, find=lambda: engine.host, only_to_end=True)
    await last.recover()
    await last.stop(RunKey("a", 1))
    await docker.end_of("a")
    await last.close()
    assert docker.left() == []

    docker.another()
    stopped, as_before = await docker.driver.recover()
    assert stopped.exit is not None
    assert (stopped.key, stopped.state, stopped.exit.reason) == (RunKey("a", 1), RunState.EXITED, "stopped")
    assert as_before == failed
    assert await docker.driver.status(failed.key) == failed
    again = await docker.start("b", "exit", "3")
    assert again == failed, "what has ended is not started again"
    assert (await docker.text("a")).startswith("ready\n")
    for run in (stopped, as_before):
        await docker.driver.remove(run.key)
    assert await docker.driver.recover() == []
    assert (await docker.text("a")).startswith("ready\n")


async def test_a_container_that_still_runs_outlives_who_takes_its_node_down(docker: Kit, tmp_path: Path) -> None:
    await docker.start("a", "run")
    node = f"node-{tmp_path.name}"
    last = DockerDriver(str(tmp_path / "docker"), node, find=docker.driver._access.find, only_to_end=True)  # type: ignore[attr-defined]
    await last.recover()
    await last.close()
    assert len(docker.left()) == 1
