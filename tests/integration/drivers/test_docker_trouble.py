"""An engine in trouble: its disk is full, or it hangs."""

import asyncio
import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from msgspec.structs import replace

from omnitide.drivers.docker import images
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.images import Images
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.protocol import DriverError, RunKey
from omnitide.model.container import Container
from support.container_engine import DockerEngine, engine_in, registry_in
from support.driver_kit import Kit

MIB = 1 << 20


@pytest.fixture
def stuffed(engine: DockerEngine, tmp_path: Path) -> Path:
    """A registry's folder that holds `team/large:1`, 48 MiB that no packing makes smaller."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        member = tarfile.TarInfo("large")
        member.size = 48 * MIB
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    engine.docker("import", "-", "127.0.0.1:5003/team/large:1", stdin=data.getvalue())
    with registry_in(tmp_path, engine, 5003) as address:
        engine.docker("push", f"{address}/team/large:1")
    engine.docker("rmi", "127.0.0.1:5003/team/large:1")
    return tmp_path


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Generator[DockerEngine]:
    """An engine whose files have 32 MiB."""
    folder = tmp_path_factory.mktemp("small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder], check=True)
    try:
        with engine_in(folder) as made:
            yield made
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.root
async def test_a_pull_for_which_the_disk_has_no_room_says_so_and_the_node_goes_on(
    stuffed: Path, small: DockerEngine, make_docker: Callable[[Path, DockerEngine], Kit], tmp_path: Path
) -> None:
    kit = make_docker(tmp_path, small)
    launch = kit.launch(RunKey("a", 1), ())
    told: list[str] = []
    try:
        with registry_in(stuffed, small, 5003) as address:
            image = f"{address}/team/large:1"
            with pytest.raises(DriverError) as refused:
                await kit.driver.prepare(replace(launch, container=Container(image=image)), told.append)
        assert (refused.value.cause, refused.value.permanent) == ("no-disk", False)
        assert image in str(refused.value)
        assert told[0] == f"pulling {image}"
        assert (await kit.driver.probe()).healthy
        assert kit.left() == []
    finally:
        await kit.clear()


async def test_a_pull_that_an_engine_hangs_in_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"/images/create" in await reader.readuntil(b"\r\n\r\n")
        asked.set()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()

    monkeypatch.setattr(images, "PULL_IDLE", 0.2)
    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    engine = Engine(f"unix://{tmp_path / 's'}")
    engine.client.api_version = "v1.41"
    try:
        with pytest.raises(DriverError) as refused:
            async with asyncio.timeout(20):
                found = Images(Notes(str(tmp_path)))
                await found.prepare(engine, Container(image="somebody/slow:1", pull="always"), "", lambda _: None, 0)
        assert asked.is_set()
        assert (refused.value.cause, refused.value.permanent) == ("driver-unavailable", False)
        assert "does not answer" in str(refused.value)
    finally:
        await engine.close()
        server.close()
