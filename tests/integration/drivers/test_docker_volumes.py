"""A volume that a node keeps begins with what the image has at its target, as the engine's own volumes do."""

import asyncio
import io
import os
import stat
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from omnitide.drivers.protocol import DriverError, Launch, RunKey
from omnitide.model.container import Container
from omnitide.model.provisions import Volume
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.provisioner import VOLUMES, NodeProvisions
from omnitide.node.provisions.supply import Values
from support.container_engine import DockerEngine
from support.driver_kit import Kit

IMAGE = "furnished:1"


def furnish(engine: DockerEngine, program: Path) -> str:
    """An image with files of several users in /srv/site, and an empty directory /srv/own of user 77."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(program, "conform")
        for name, kind, uid, mode in (
            ("srv/site", tarfile.DIRTYPE, 0, 0o755),
            ("srv/site/page", tarfile.REGTYPE, 33, 0o640),
            ("srv/site/deep", tarfile.DIRTYPE, 34, 0o2750),
            ("srv/site/deep/link", tarfile.SYMTYPE, 35, 0o777),
            ("srv/own", tarfile.DIRTYPE, 77, 0o1770),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.gid, member.mode = kind, uid, uid, mode
            content = b"furniture" if kind == tarfile.REGTYPE else b""
            member.size = len(content)
            member.linkname = "../page" if kind == tarfile.SYMTYPE else ""
            tar.addfile(member, io.BytesIO(content))
    engine.docker("import", "--change", 'ENTRYPOINT ["/conform"]', "-", IMAGE, stdin=data.getvalue())
    return IMAGE


@pytest.fixture(scope="module")
def furnished(engine: DockerEngine, program: Path) -> str:
    return furnish(engine, program)


class NothingToFetch:
    async def values(self, instance: str) -> Values:
        raise AssertionError(instance)

    def blob(self, instance: str, digest: str, offset: int) -> AsyncIterator[bytes]:
        raise AssertionError(digest)


class Room:
    """The provisions of a node on this driver."""

    def __init__(self, folder: Path, kit: Kit) -> None:
        self.folder, self.kit = folder, kit
        self.provisions = NodeProvisions(
            folder / "node", NothingToFetch(), node_id="n", cache_bytes=1 << 20, most=1 << 20, memory=folder / "memory"
        )

    async def given(self, instance: str, image: str, user: str = "", **volumes: Volume) -> Launch:
        launch = self.kit.launch(RunKey(instance, 1), ("run",))
        launch = replace(launch, user=user, container=Container(image=image))
        needs = Needs(instance=instance, namespace="default", user=user, own_paths=True, mounted=True, volumes=volumes)

        async def ready(what: Launch) -> None:
            await self.kit.driver.prepare(what, lambda _: None)

        return await self.provisions.provide(self.kit.driver, launch, needs, lambda _: None, ready)

    def volume(self, name: str) -> Path:
        return self.folder / "node" / VOLUMES / "default" / name


@pytest.fixture
def room(tmp_path: Path, docker: Kit) -> Room:
    return Room(tmp_path, docker)


def rights(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, stat.S_IMODE(found.st_mode)


async def test_its_first_use_brings_the_files_of_the_image(room: Room, furnished: str, engine: DockerEngine) -> None:
    await first_use(room, furnished, engine)


async def test_podman_brings_them_too(
    podman_engine: DockerEngine, program: Path, make_docker: Callable[[Path, DockerEngine], Kit], tmp_path: Path
) -> None:
    kit = make_docker(tmp_path, podman_engine)
    try:
        await first_use(Room(tmp_path, kit), furnish(podman_engine, program), podman_engine)
    finally:
        await kit.clear()


async def first_use(room: Room, furnished: str, engine: DockerEngine) -> None:
    launch = await room.given("a", furnished, site=Volume(target="/srv/site"), own=Volume(target="/srv/own"))
    site = room.volume("site")
    assert {mount.target: mount.source for mount in launch.mounts} == {
        "/srv/site": str(site),
        "/srv/own": str(room.volume("own")),
    }
    assert (site / "page").read_text() == "furniture"
    assert [rights(site / name) for name in ("page", "deep")] == [(33, 0o640), (34, 0o2750)]
    assert os.readlink(site / "deep/link") == "../page"
    assert rights(room.volume("own")) == (77, 0o1770)
    await room.kit.driver.start(launch)
    assert engine.docker("volume", "ls", "--quiet").stdout == "", "nothing of the engine's own is left"


async def test_later_uses_change_nothing_of_it(room: Room, furnished: str) -> None:
    await room.given("a", furnished, site=Volume(target="/srv/site"))
    (room.volume("site") / "page").unlink()
    await room.given("b", furnished, site=Volume(target="/srv/site"))
    assert not (room.volume("site") / "page").exists()


async def test_uses_at_the_same_time_find_one_whole_volume(room: Room, furnished: str) -> None:
    await asyncio.gather(*(room.given(name, furnished, site=Volume(target="/srv/site")) for name in "abc"))
    assert (room.volume("site") / "page").read_text() == "furniture"


@pytest.mark.parametrize(
    ("volume", "what"),
    [(Volume(target="/srv/site", nocopy=True), []), (Volume(target="/no/such/place"), [])],
    ids=["nocopy", "nothing there"],
)
async def test_it_begins_empty_and_its_users(room: Room, furnished: str, volume: Volume, what: list[str]) -> None:
    await room.given("a", furnished, user="4242:4343", site=volume)
    assert os.listdir(room.volume("site")) == what
    assert rights(room.volume("site")) == (4242, 0o700)


async def test_a_directory_of_roots_is_the_programs_to_write_to(room: Room, furnished: str) -> None:
    await room.given("a", furnished, user="4242:4343", site=Volume(target="/srv/site"))
    assert rights(room.volume("site")) == (4242, 0o755)
    assert rights(room.volume("site") / "page") == (33, 0o640)


async def test_what_fails_half_way_leaves_no_half_volume(
    room: Room, furnished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill(launch: Launch, target: str, directory: str) -> None:
        await asyncio.to_thread((Path(directory) / "half").write_text, "half")
        raise DriverError("the engine has hung up", cause="driver-unavailable", permanent=False)

    with monkeypatch.context() as patched:
        patched.setattr(room.kit.driver, "fill", fill)
        with pytest.raises(DriverError):
            await room.given("a", furnished, site=Volume(target="/srv/site"))
    assert not room.volume("site").exists()
    await room.given("a", furnished, site=Volume(target="/srv/site"))
    assert sorted(os.listdir(room.volume("site"))) == ["deep", "page"]
