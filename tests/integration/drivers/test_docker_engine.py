"""An engine that is not there, that goes away, and that comes back."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path

import pytest

from omnitide.drivers.docker import address
from omnitide.drivers.docker.driver import DockerDriver
from omnitide.drivers.protocol import DriverError, RunKey, RunState
from support.container_engine import DockerEngine, engine_in
from support.driver_kit import Kit


@pytest.fixture
def mortal(tmp_path: Path, program: Path) -> Generator[DockerEngine]:
    """An engine for one test, which may end it; its containers go on without it."""
    folder = tmp_path / "engine"
    folder.mkdir()
    with engine_in(folder, "--live-restore") as made:
        made.make_image("conform:1", program)
        yield made


@pytest.fixture
async def orphan(
    tmp_path: Path, mortal: DockerEngine, make_docker: Callable[[Path, DockerEngine], Kit]
) -> AsyncIterator[Kit]:
    made = make_docker(tmp_path, mortal)
    yield made
    await made.clear()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_containers_go_on_while_the_engine_is_away(
    orphan: Kit, mortal: DockerEngine, how: signal.Signals
) -> None:
    before = await orphan.start("a", "heed")
    await orphan.until_output("a", "ready")
    watch = orphan.driver.watch()
    change = asyncio.ensure_future(anext(watch))
    await orphan.driver.recover()
    await asyncio.to_thread(mortal.end, how)
    with pytest.raises(DriverError) as lost:
        async with asyncio.timeout(30):
            await change
    assert lost.value.cause == "driver-unavailable"
    info = await orphan.driver.probe()
    assert (info.healthy, info.absent) == (False, False)
    assert str(mortal.socket) in info.detail
    with pytest.raises(DriverError) as refused:
        await orphan.driver.recover()
    assert refused.value.cause == "driver-unavailable"
    with pytest.raises(DriverError) as refused:
        await orphan.start("b", "run")
    assert refused.value.cause == "driver-unavailable"

    await asyncio.to_thread(mortal.start)
    (after,) = await orphan.driver.recover()
    assert (after.handle, after.state, after.started_at_ms) == (before.handle, RunState.RUNNING, before.started_at_ms)
    assert (await orphan.driver.probe()).healthy
    await orphan.driver.signal(RunKey("a", 1), signal.SIGTERM)
    ended = await orphan.end_of("a")
    assert ended.exit is not None
    assert ended.exit.code == 0


async def test_logs_that_are_followed_say_that_the_engine_is_gone(orphan: Kit, mortal: DockerEngine) -> None:
    await orphan.start("a", "run")
    await orphan.until_output("a", "ready")
    chunks = orphan.driver.logs("a", follow=True)
    while not (await anext(chunks)).data:
        pass
    waiting = asyncio.ensure_future(anext(chunks))
    await asyncio.to_thread(mortal.end, signal.SIGKILL)
    with pytest.raises(DriverError) as lost:
        async with asyncio.timeout(30):
            await waiting
    assert lost.value.cause == "driver-unavailable"
    await asyncio.to_thread(mortal.start)


async def test_a_node_without_an_engine_is_well_and_says_so(tmp_path: Path) -> None:
    driver = DockerDriver(str(tmp_path / "d"), "node", find=lambda: None)
    info = await driver.probe()
    assert (info.healthy, info.absent) == (False, True)
    assert address.VARIABLE in info.detail
    assert await driver.recover() == []
    with pytest.raises(DriverError) as refused:
        await driver.stop(RunKey("a", 1))
    assert refused.value.cause == "driver-unavailable"
    await driver.close()


async def test_an_engine_that_had_containers_is_missed(tmp_path: Path, docker: Kit) -> None:
    await docker.start("a", "run")
    driver = DockerDriver(str(tmp_path / "docker"), "node", find=lambda: None)
    assert not (await driver.probe()).absent
    with pytest.raises(DriverError):
        await driver.recover()
    await driver.close()


async def test_what_is_no_engine_is_said(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")
        await writer.drain()
        writer.close()

    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(talk, path)
    async with server:
        driver = DockerDriver(str(tmp_path / "d"), "node", find=lambda: f"unix://{path}")
        info = await driver.probe()
        assert not info.healthy
        assert info.detail
        await driver.close()
    driver = DockerDriver(str(tmp_path / "d"), "node", find=lambda: "gopher://x")
    assert "gopher" in (await driver.probe()).detail
    await driver.close()


def test_the_socket_is_where_it_is_told_or_where_engines_have_it(tmp_path: Path) -> None:
    assert address.find({"DOCKER_HOST": "tcp://10.0.0.1:2375"}) == "tcp://10.0.0.1:2375"
    looked = [str(path) for path in address.sockets({"XDG_RUNTIME_DIR": "/run/user/7"})]
    assert looked == [
        "/var/run/docker.sock",
        "/run/user/7/docker.sock",
        "/run/podman/podman.sock",
        "/run/user/7/podman/podman.sock",
    ]


def test_nothing_of_the_client_is_loaded_before_there_is_an_engine(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from omnitide.drivers.docker.driver import DockerDriver
driver = DockerDriver({str(tmp_path)!r}, "node", find=lambda: None)
assert not asyncio.run(driver.probe()).healthy
sys.exit(any(name in sys.modules for name in ("aiodocker", "aiohttp")))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
