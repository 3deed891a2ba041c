# ruff: noqa: ASYNC240 folders of a test are looked at where they are
"""Provisions on a real machine's folders: values in memory alone, files on tmpfs, volumes, fetched artifacts."""

import asyncio
import hashlib
import http.server
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from omnitide.drivers.protocol import DriverError, Launch, RunKey
from omnitide.model.container import Sandbox
from omnitide.model.provisions import Artifact, ConfigUse, SecretUse, Volume
from omnitide.model.spec import AgentSpec
from omnitide.node.provisions.artifacts import MAX_DOWNLOADS, MAX_OF_ONE_SERVER
from omnitide.node.provisions.cache import Cache
from omnitide.node.provisions.needs import Needs, needs_of, versions_from
from omnitide.node.provisions.provisioner import NodeProvisions
from omnitide.node.provisions.supply import SupplyAway, SupplyRefused, Value, Values
from omnitide.node.records import Assignment, Goal
from omnitide.security.clear_text import ClearText
from omnitide.security.memory_folder import memory_root

WORD = b"v3ry-secret-w0rd"


class Shop:
    """A supply whose Nexus can be away."""

    def __init__(self) -> None:
        self.away = False
        self.secrets = {"db": Value(1, ClearText(WORD))}
        self.blobs: dict[str, bytes] = {}
        self.breaks = 0
        """Connections that break off after half of what they should give."""
        self.fetches = 0

    async def values(self, instance: str) -> Values:
        await asyncio.sleep(0)
        if self.away:
            raise SupplyAway("no route")
        return Values(self.secrets, {})

    async def blob(self, instance: str, digest: str, offset: int) -> AsyncIterator[bytes]:
        await asyncio.sleep(0)
        self.fetches += 1
        if digest not in self.blobs:
            raise SupplyRefused("there is none", absent=True)
        data = self.blobs[digest][offset:]
        if self.breaks:
            self.breaks -= 1
            yield data[: len(data) // 2 + 1]
            raise SupplyAway("broke off")
        yield data


class HomeDriver:
    """As far as provisions know one."""

    name = "process"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def directory(self, instance: str) -> str:
        return str(self._folder / instance)


class ContainerDriver:
    """As far as provisions know one whose instances have users of their own."""

    name = "docker"

    def __init__(self) -> None:
        self.prepared = False

    async def prepare(self, launch: Launch, progress: object) -> None:
        await asyncio.sleep(0)
        self.prepared = True

    async def owner(self, launch: Launch) -> tuple[int, int]:
        await asyncio.sleep(0)
        assert self.prepared, "only of an image that is there can it be said"
        return 4242, 4343


@pytest.fixture(autouse=True)
def private_umask() -> Generator[None]:
    """As a node proxy has it."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def bound() -> Generator[Callable[[Path, Path], None]]:
    """Shows a directory at another one too; with the test that is over."""
    done: list[Path] = []

    def bind(what: Path, where: Path) -> None:
        subprocess.run(["mount", "--bind", what, where], check=True)
        done.append(where)

    yield bind
    for where in reversed(done):
        subprocess.run(["umount", "--lazy", where], check=True)


LAUNCH = Launch(key=RunKey("a", 1), name="a", command=("x",), environment={})


class World:
    def __init__(
        self, folder: Path, *, allowed: tuple[str, ...] = (), devices: tuple[str, ...] = (), cache: int = 1 << 20
    ) -> None:
        self.folder = folder
        self.shop = Shop()
        self.memory = folder / "memory"
        self.driver = HomeDriver(folder / "work")
        (folder / "work").mkdir()
        (folder / "node").mkdir()
        self.provisions = NodeProvisions(
            folder / "node",
            self.shop,
            node_id="n1",
            cache_bytes=cache,
            most=1 << 20,
            allowed=allowed,
            devices=devices,
            memory=self.memory,
        )
        self.told: list[str] = []

    async def provide(self, *, homeless: bool = False, instance: str = "a", **needs: object) -> Launch:
        launch = Launch(key=RunKey(instance, 1), name=f"{instance}-0.1", command=("run",), environment={"A": "1"})
        wanted = Needs(instance=instance, namespace="default", **needs)  # type: ignore[arg-type]
        return await self.provide_by(object() if homeless else self.driver, launch, wanted)

    async def provide_by(self, driver: Any, launch: Launch, needs: Needs) -> Launch:
        async def ready(launch: Launch) -> None:
            await driver.prepare(launch, self.told.append)

        return await self.provisions.provide(driver, launch, needs, self.told.append, ready)

    async def refused(self, **needs: object) -> DriverError:
        with pytest.raises(DriverError) as refused:
            await self.provide(**needs)  # type: ignore[arg-type]
        return refused.value

    @property
    def home(self) -> Path:
        return self.folder / "work" / "a"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class TestSecrets:
    async def test_as_variable_and_as_file(self, world: World) -> None:
        launch = await world.provide(secrets={"db": SecretUse(environment="DB", file="sub/db", mode="0440")})
        assert launch.environment == {"A": "1", "DB": WORD.decode()}
        file = world.memory / "a" / "secrets" / "sub" / "db"
        assert file.read_bytes() == WORD
        assert stat.S_IMODE(file.stat().st_mode) == 0o440
        assert stat.S_IMODE((world.memory / "a").stat().st_mode) == 0o700
        assert launch.mounts == ()

    async def test_nothing_that_prints_shows_it(self, world: World) -> None:
        launch = await world.provide(secrets={"db": SecretUse(environment="DB")}, credentials="")
        assert WORD.decode() not in f"{launch!r} {launch} {world.shop.secrets!r} {[launch]}"

    async def test_what_sees_paths_of_its_own_gets_mounts(self, world: World) -> None:
        uses = {"db": SecretUse(), "x": SecretUse(file="/etc/app/x")}
        world.shop.secrets["x"] = Value(1, ClearText(b"x"))
        launch = await world.provide(secrets=uses, mounted=True, own_paths=True)
        assert {mount.target: mount.read_only for mount in launch.mounts} == {"/run/secrets": True, "/etc/app/x": True}
        assert all(Path(mount.source).exists() for mount in launch.mounts)

    async def test_one_that_there_is_not_waits(self, world: World) -> None:
        error = await world.refused(secrets={"none": SecretUse()})
        assert (error.cause, error.permanent) == ("secret-missing", False)
        assert "default/none" in str(error)

    async def test_while_nexus_is_away_only_what_is_in_memory_is_given(self, world: World) -> None:
        use = {"db": SecretUse(environment="DB")}
        world.shop.away = True
        assert (await world.refused(secrets=use)).cause == "secrets-unavailable"
        world.shop.away = False
        await world.provide(secrets=use)
        world.shop.away = True
        assert (await world.provide(secrets=use)).environment["DB"] == WORD.decode()
        await world.provisions.ended("a")
        assert (await world.refused(secrets=use)).cause == "secrets-unavailable"

    async def test_it_goes_when_its_instance_ends_and_is_on_no_disk(self, world: World) -> None:
        await world.provide(secrets={"db": SecretUse()})
        assert not [path for path in (world.folder / "node").rglob("*") if path.is_file()]
        await world.provisions.ended("a")
        assert not (world.memory / "a").exists()

    async def test_files_are_swapped_whole_and_mounted_ones_written_into(self, world: World) -> None:
        uses = {"db": SecretUse(), "x": SecretUse(file="/etc/app/x")}
        world.shop.secrets["x"] = Value(1, ClearText(b"x"))
        await world.provide(secrets=uses, mounted=True, own_paths=True)
        file, mounted = world.memory / "a/secrets/db", world.memory / "a/secrets/absolute/x"
        before, same = file.stat().st_ino, mounted.stat().st_ino
        world.shop.secrets = {"db": Value(2, ClearText(b"new")), "x": Value(2, ClearText(b"newer"))}
        needs = Needs(instance="a", namespace="default", secrets=uses, mounted=True, own_paths=True)
        await world.provisions.refresh(needs)
        assert (file.read_bytes(), mounted.read_bytes()) == (b"new", b"newer")
        assert file.stat().st_ino != before
        assert mounted.stat().st_ino == same

    async def test_without_memory_to_put_files_in_they_are_refused(self, tmp_path: Path) -> None:
        assert memory_root("n1", [str(tmp_path / "none"), "/proc"]) is None
        world = World(tmp_path)
        world.provisions._files._root = None  # pyright: ignore[reportPrivateUsage]
        assert (await world.refused(secrets={"db": SecretUse()})).cause == "no-tmpfs"
        await world.provide(secrets={"db": SecretUse(environment="DB")})

    async def test_somebody_elses_folder_is_not_used(self, world: World) -> None:
        world.memory.symlink_to(world.folder)
        assert (await world.refused(secrets={"db": SecretUse()})).cause == "no-tmpfs"

    async def test_no_more_is_kept_for_when_nexus_is_away_than_the_bound(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("omnitide.node.provisions.values.KEPT_BYTES", 2 * len(WORD))
        uses = {"db": SecretUse(environment="DB")}
        for name in ("a", "b", "c"):
            await world.provide(instance=name, secrets=uses)
        world.shop.away = True
        for name in ("a", "b"):
            assert (await world.provide(instance=name, secrets=uses)).environment["DB"] == WORD.decode()
        assert (await world.refused(instance="c", secrets=uses)).cause == "secrets-unavailable"
        await world.provisions.ended("a")
        world.shop.away = False
        await world.provide(instance="c", secrets=uses)
        world.shop.away = True
        assert (await world.provide(instance="c", secrets=uses)).environment["DB"] == WORD.decode()

    async def test_what_is_no_text_is_no_variable(self, world: World) -> None:
        world.shop.secrets["db"] = Value(1, ClearText(b"\xff\xfe"))
        error = await world.refused(secrets={"db": SecretUse(environment="DB")})
        assert error.cause == "secret-not-text"
        assert "xff" not in repr(error)
        await world.provide(secrets={"db": SecretUse()})

    async def test_credentials_are_user_and_password(self, world: World) -> None:
        assert (await world.refused(credentials="db")).cause == "credentials"
        world.shop.secrets["db"] = Value(1, ClearText(b"me:word\n"))
        assert (await world.provide(credentials="db")).credentials == "me:word"

    def test_a_label_that_is_none_says_nothing(self) -> None:
        assert versions_from("s.db=3 c.x=1 junk = s.y=z") == {"s.db": 3, "c.x": 1}

    async def test_what_a_proxy_before_has_left_is_swept(self, world: World) -> None:
        await world.provide(secrets={"db": SecretUse()}, configs={})
        await world.provisions.sweep(lambda instance: instance == "b")
        assert list(world.memory.iterdir()) == []

    async def test_the_folder_goes_with_the_node_unless_something_goes_on(self, world: World) -> None:
        await world.provide(secrets={"db": SecretUse()})
        world.provisions.leave()
        assert (world.memory / "a/secrets/db").read_bytes() == WORD
        await world.provisions.ended("a")
        world.provisions.leave()
        assert not world.memory.exists()
        world.provisions.leave()

    @pytest.mark.root
    async def test_a_containers_are_its_users_and_stay_so(self, world: World) -> None:
        uses = {"db": SecretUse(), "x": SecretUse(file="/etc/app/x", mode="0440")}
        world.shop.secrets["x"] = Value(1, ClearText(b"x"))
        needs = Needs(instance="a", namespace="default", secrets=uses, mounted=True, own_paths=True)
        await world.provide_by(ContainerDriver(), LAUNCH, needs)
        world.shop.secrets["db"] = Value(2, ClearText(b"new"))
        await world.provisions.refresh(needs)
        for path, mode in (
            ("a", 0o700),
            ("a/secrets", 0o700),
            ("a/secrets/db", 0o400),
            ("a/secrets/absolute/x", 0o440),
        ):
            status = (world.memory / path).stat()
            assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (4242, 4343, mode), path

    async def test_whoever_is_in_a_container_reads_them_where_they_cannot_be_given_away(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("omnitide.node.provisions.provisioner.may_give_away", lambda: False)
        needs = Needs(
            instance="a",
            namespace="default",
            secrets={"db": SecretUse()},
            volumes={"v": Volume(target="/data", name="shared")},
            mounted=True,
            own_paths=True,
        )
        launch = await world.provide_by(ContainerDriver(), LAUNCH, needs)
        modes = [("a", 0o700), ("a/secrets", 0o755), ("a/secrets/db", 0o444)]
        assert [(path, stat.S_IMODE((world.memory / path).stat().st_mode)) for path, _ in modes] == modes
        (volume,) = [mount.source for mount in launch.mounts if mount.target == "/data"]
        assert stat.S_IMODE(Path(volume).stat().st_mode) == 0o777


class TestDevices:
    @pytest.mark.parametrize("device", ["/dev/mem", "/dev", "/", "/dev/kmsg:/dev/null", "/dev/fuse", "/dev/shm/../mem"])
    async def test_a_node_that_says_nothing_gives_none_that_matters(self, world: World, device: str) -> None:
        error = await world.refused(devices=("/dev/null", device))
        assert (error.cause, error.permanent) == ("device-refused", True)
        assert "node.devices" in str(error)

    async def test_what_every_container_has_is_given(self, world: World) -> None:
        await world.provide(devices=("/dev/null", "/dev/zero:/dev/nothing", "/dev/urandom"))

    async def test_by_the_setting_these_and_what_is_below_them(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("/dev/mem")
        world = World(tmp_path, devices=("/dev/dri", "/dev/snd/timer"))
        await world.provide(devices=("/dev/dri", "/dev/dri/card0:/dev/card", "/dev/snd/timer"))
        for device in ("/dev/null", "/dev/snd", "/dev/drive", str(tmp_path / "link")):
            assert (await world.refused(devices=(device,))).cause == "device-refused", device

    async def test_with_none_not_even_those(self, tmp_path: Path) -> None:
        assert (await World(tmp_path, devices=("none",)).refused(devices=("/dev/null",))).cause == "device-refused"


class TestVolumes:
    async def test_one_that_the_node_keeps(self, world: World) -> None:
        await world.provide(volumes={"data": Volume(target="in/data")})
        (world.home / "in/data/x").write_text("kept")
        volumes = world.folder / "node/volumes"
        modes = [stat.S_IMODE((volumes / path).stat().st_mode) for path in ("", "default", "default/data")]
        assert modes == [0o711, 0o711, 0o700], "its user can pass through to it, and nobody else into it"
        await world.provisions.removed("a")
        launch = await world.provide(homeless=True, volumes={"v": Volume(target="/data", name="data")})
        (mount,) = launch.mounts
        assert (mount.target, (Path(mount.source) / "x").read_text()) == ("/data", "kept")

    @pytest.mark.parametrize("source", ["/", "/etc", "/etc/ssl", "/proc/1", "/var", "/var/lib/docker/x", "/run"])
    async def test_where_the_system_keeps_its_own_nobody_is_given(self, world: World, source: str) -> None:
        error = await world.refused(volumes={"v": Volume(target="v", source=source)})
        assert (error.cause, error.permanent) == ("volume-refused", True)

    async def test_nor_behind_a_link_nor_the_nodes_own(self, world: World) -> None:
        (world.folder / "innocent").symlink_to("/etc")
        for source in (world.folder / "innocent", world.folder / "node", world.folder):
            error = await world.refused(volumes={"v": Volume(target="v", source=str(source))})
            assert error.cause == "volume-refused"

    async def test_nor_what_nexus_has_beside_the_node_nor_what_another_fabric_has(self, tmp_path: Path) -> None:
        fabric, away = tmp_path / "fabric", tmp_path / "home"
        (fabric / "nexus" / "keys").mkdir(parents=True)
        (away / ".local/state/omnitide/nexus").mkdir(parents=True)
        world = World(fabric, allowed=(str(tmp_path), "/var/lib"))
        for source in (fabric / "nexus", fabric / "nexus/keys", fabric / "work", fabric, tmp_path):
            assert (await world.refused(mounted=True, writable=(str(source),))).cause == "volume-refused", source
        for source in (away, away / ".local/state/omnitide", away / ".local/state/omnitide/nexus", "/var/lib/omnitide"):
            error = await world.refused(volumes={"v": Volume(target="v", source=str(source))})
            assert (error.cause, "Omnitide" in str(error)) == ("volume-refused", True), source

    @pytest.mark.root
    async def test_nor_by_another_mount_of_it(self, tmp_path: Path, bound: Callable[[Path, Path], None]) -> None:
        (tmp_path / "fabric" / "nexus" / "keys").mkdir(parents=True)
        (tmp_path / "media").mkdir()
        world = World(tmp_path / "fabric", allowed=(str(tmp_path),))
        for name, what in (("same", "fabric"), ("below", "fabric/nexus/keys"), ("above", ".")):
            (tmp_path / name / "at").mkdir(parents=True)
            bound(tmp_path / what, tmp_path / name / "at")
            for source in (tmp_path / name, tmp_path / name / "at"):
                error = await world.refused(volumes={"v": Volume(target="v", source=str(source))})
                assert (error.cause, "Omnitide" in str(error)) == ("volume-refused", True), source
        await world.provide(volumes={"v": Volume(target="v", source=str(tmp_path / "above/at/media"))})

    async def test_one_that_is_not_there(self, world: World) -> None:
        error = await world.refused(volumes={"v": Volume(target="v", source=str(world.folder / "none"))})
        assert (error.cause, error.permanent) == ("volume-missing", True)

    async def test_the_setting_names_what_is_given(self, tmp_path: Path) -> None:
        (tmp_path / "open").mkdir()
        (tmp_path / "closed").mkdir()
        world = World(tmp_path, allowed=(str(tmp_path / "open"),))
        await world.provide(volumes={"v": Volume(target="v", source=str(tmp_path / "open"))})
        error = await world.refused(volumes={"v": Volume(target="v", source=str(tmp_path / "closed"))})
        assert error.cause == "volume-refused"

    async def test_none_means_none(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        world = World(tmp_path, allowed=("none",))
        error = await world.refused(volumes={"v": Volume(target="v", source=str(tmp_path / "x"))})
        assert error.cause == "volume-refused"

    async def test_what_a_sandbox_may_write_to_is_held_to_the_same(self, tmp_path: Path) -> None:
        for name in ("open", "closed"):
            (tmp_path / name).mkdir()
        (tmp_path / "open" / "link").symlink_to(tmp_path / "closed")
        world = World(tmp_path, allowed=(str(tmp_path / "open"),))
        await world.provide(mounted=True, writable=(str(tmp_path / "open"),))
        for path in (tmp_path / "closed", tmp_path / "open" / "link", world.folder / "node", Path("/etc")):
            error = await world.refused(mounted=True, writable=(str(path),))
            assert (error.cause, error.permanent) == ("volume-refused", True)
            assert str(path) in str(error)
        error = await world.refused(mounted=True, writable=(str(tmp_path / "open" / "absent"),))
        assert error.cause == "volume-missing"

    def test_that_is_what_its_spec_names_and_where_it_works(self) -> None:
        spec = AgentSpec(command=("x",), isolation="sandbox", sandbox=Sandbox(writable=("/srv/a",)))
        asked = Assignment("a", "a-0.1", "default", "agent", "a", 1, 0, 1, Goal.RUN, "k")
        assert needs_of(asked, spec).writable == ("/srv/a",)
        assert needs_of(asked, replace(spec, working_directory="/srv/b")).writable == ("/srv/a", "/srv/b")
        assert needs_of(asked, replace(spec, isolation="none", working_directory="/srv/b")).writable == ()

    async def test_a_link_keeps_nobody_from_writing(self, world: World) -> None:
        error = await world.refused(volumes={"v": Volume(target="v", read_only=True)})
        assert (error.cause, error.permanent) == ("volume-refused", True)
        assert 'isolation = "sandbox"' in str(error)
        await world.provide(mounted=True, volumes={"v": Volume(target="v", read_only=True)})


class TestArtifacts:
    async def test_a_blob_lands_where_it_is_wanted_and_a_broken_connection_goes_on(self, world: World) -> None:
        data = os.urandom(100_000)
        world.shop.blobs[digest_of(data)] = data
        world.shop.breaks = 2
        await world.provide(artifacts=(Artifact(source=digest_of(data), path="bin/x", executable=True),))
        assert (world.home / "bin/x").read_bytes() == data
        assert os.access(world.home / "bin/x", os.X_OK)
        assert world.shop.fetches == 3

    async def test_it_is_fetched_once_for_many(self, world: World) -> None:
        world.shop.blobs[digest_of(b"x")] = b"x"
        await world.provide(artifacts=(Artifact(source=digest_of(b"x"), path="x"),))
        await world.provisions.removed("a")
        await world.provide(homeless=True, artifacts=(Artifact(source=digest_of(b"x"), path="x"),))
        assert world.shop.fetches == 1

    async def test_a_store_that_gives_something_else_is_not_believed(self, world: World) -> None:
        world.shop.blobs[digest_of(b"x")] = b"y"
        error = await world.refused(artifacts=(Artifact(source=digest_of(b"x")),))
        assert (error.cause, error.permanent) == ("checksum", True)

    async def test_one_that_there_is_not(self, world: World) -> None:
        error = await world.refused(artifacts=(Artifact(source=digest_of(b"x")),))
        assert (error.cause, error.permanent) == ("artifact-missing", True)

    async def test_for_who_has_no_directory_they_are_mounts(self, world: World) -> None:
        world.shop.blobs[digest_of(b"x")] = b"x"
        launch = await world.provide(homeless=True, artifacts=(Artifact(source=digest_of(b"x"), path="etc/x"),))
        (mount,) = launch.mounts
        assert (mount.target, Path(mount.source).read_bytes()) == ("etc/x", b"x")

    async def test_the_cache_has_a_bound(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "cache", 250)

        async def fetch(into: Path, data: bytes) -> str:
            into.write_bytes(data)
            return digest_of(data)

        for number in range(5):
            data = bytes([number]) * 100
            async with cache.get(str(number), "", lambda into, data=data: fetch(into, data)) as (_, path):
                assert path.read_bytes() == data
            os.utime(path, (number, number)) if path.exists() else None
        assert len(list((tmp_path / "cache" / "sha256").iterdir())) == 2

    async def test_what_somebody_reads_stays_though_it_was_used_longest_ago(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "cache", 100)

        async def fetch(into: Path, data: bytes) -> str:
            into.write_bytes(data)
            return digest_of(data)

        async def use(data: bytes) -> None:
            async with cache.get(data[:1].decode(), "", lambda into: fetch(into, data)) as (_, path):
                os.utime(path, (2, 2))

        async with cache.get("a", "", lambda into: fetch(into, b"a" * 100)) as (_, read):
            async with cache.get("a again", digest_of(b"a" * 100), lambda into: fetch(into, b"never")) as (_, same):
                assert same == read
            os.utime(read, (1, 1))
            await use(b"b" * 100)
            assert read.read_bytes() == b"a" * 100, "the bound gives way to who reads"
        await use(b"c" * 100)
        assert not read.exists(), "and holds again when nobody does"

    async def test_what_is_taken_while_room_is_being_made_is_not_removed_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = Cache(tmp_path / "cache", 0)
        begins, goes_on = threading.Event(), threading.Event()
        real = Path.glob

        def held(path: Path, pattern: str) -> list[Path]:
            begins.set()
            assert goes_on.wait(20)
            return list(real(path, pattern))

        async def fetch(into: Path) -> str:
            into.write_bytes(b"x")
            return digest_of(b"x")

        async def use() -> None:
            async with cache.get("x", digest_of(b"x"), fetch):
                pass

        monkeypatch.setattr(Path, "glob", held)
        first = asyncio.ensure_future(use())
        assert await asyncio.to_thread(begins.wait, 20)
        async with cache.get("x", digest_of(b"x"), fetch) as (_, path):
            goes_on.set()
            await first
            assert path.read_bytes() == b"x"
        assert not path.exists()


class Server:
    """An HTTP server: what it has, and how it misbehaves."""

    def __init__(self) -> None:
        self.data = os.urandom(300_000)
        self.cuts = 0
        """Answers that break off after a third."""
        self.status = 200
        self.location = ""
        self.ranges: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 the library's name

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/file.bin"

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.ranges.append(wanted)
        if self.location:
            request.send_response(302)
            request.send_header("Location", self.location)
            request.end_headers()
            return
        data = self.data[start:]
        request.send_response(206 if start else self.status)
        request.send_header("ETag", '"one"')
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        if self.cuts:
            self.cuts -= 1
            data = data[: len(data) // 3]
        request.wfile.write(data)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Generator[Server]:
    server = Server()
    yield server
    server.close()


class TestUrls:
    async def test_it_is_fetched_and_named_by_its_url(self, world: World, server: Server) -> None:
        await world.provide(artifacts=(Artifact(source=server.url, checksum=digest_of(server.data)),))
        assert (world.home / "file.bin").read_bytes() == server.data

    async def test_what_breaks_off_is_resumed(self, world: World, server: Server) -> None:
        server.cuts = 2
        await world.provide(artifacts=(Artifact(source=server.url, checksum=digest_of(server.data)),))
        assert (world.home / "file.bin").read_bytes() == server.data
        assert server.ranges == ["", "bytes=100000-", "bytes=166666-"]

    @pytest.mark.parametrize(
        ("status", "cause", "permanent"), [(404, "artifact-missing", True), (403, "artifact-refused", True)]
    )
    async def test_what_the_server_refuses(
        self, world: World, server: Server, status: int, cause: str, permanent: bool
    ) -> None:
        server.status = status
        error = await world.refused(artifacts=(Artifact(source=server.url),))
        assert (error.cause, error.permanent) == (cause, permanent)

    async def test_a_server_that_is_not_there_is_for_later(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("omnitide.node.provisions.fetching.FIRST_WAIT_S", 0.01)
        error = await world.refused(artifacts=(Artifact(source="http://127.0.0.1:9/x"),))
        assert (error.cause, error.permanent) == ("artifact-unreachable", False)

    async def test_one_that_is_too_large(self, world: World, server: Server) -> None:
        server.data = bytes(2 << 20)
        error = await world.refused(artifacts=(Artifact(source=server.url),))
        assert error.cause == "artifact-too-large"

    async def test_a_redirect_stays_with_http(self, world: World, server: Server) -> None:
        server.location = "file:///etc/passwd"
        error = await world.refused(artifacts=(Artifact(source=server.url),))
        assert error.cause == "artifact-refused"

    async def test_it_can_be_called_off(self, world: World, server: Server) -> None:
        gate = threading.Event()
        plain = server.answer

        def held(request: http.server.BaseHTTPRequestHandler) -> None:
            gate.wait(20)
            plain(request)

        server.answer = held
        task = asyncio.create_task(world.provide(artifacts=(Artifact(source=server.url),)))
        while not world.told:
            await asyncio.sleep(0.01)
        task.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not (world.home / "file.bin").exists()


async def test_configs_are_given_as_secrets_are(world: World) -> None:
    async def values(instance: str) -> Values:
        await asyncio.sleep(0)
        return Values({}, {"c": Value(1, ClearText(b"port=1"))})

    world.shop.values = values
    await world.provide(configs={"c": ConfigUse(file="app.conf")})
    assert (world.memory / "a/configs/app.conf").read_text() == "port=1"


async def test_slow_servers_hold_up_nothing_that_needs_none_of_them(world: World) -> None:
    asked: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await reader.read()

    blob = b"here already"
    world.shop.blobs[digest_of(blob)] = blob
    await world.provide(artifacts=(Artifact(source=digest_of(blob), path="kept"),))
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slow = [
        asyncio.ensure_future(
            world.provide(instance=f"slow-{number}", artifacts=(Artifact(source=f"http://127.0.0.1:{port}/{number}"),))
        )
        for number in range(2 * MAX_DOWNLOADS)
    ]
    async with asyncio.timeout(20):
        while len(asked) < MAX_OF_ONE_SERVER:
            await asyncio.sleep(0.005)
        await world.provide(instance="b", secrets={"db": SecretUse()}, artifacts=(Artifact(source=digest_of(blob)),))
    assert (world.memory / "b" / "secrets" / "db").read_bytes() == WORD
    assert len(asked) == MAX_OF_ONE_SERVER, "the others wait their turn"
    for one in slow:
        one.cancel()
    server.close()
    for writer in asked:
        writer.transport.abort()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_what_is_left_of_an_instance_is_removed_beside_the_event_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    real = shutil.rmtree

    def watched(path: object, *arguments: object, **options: object) -> None:
        threads.append(threading.current_thread())
        real(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(shutil, "rmtree", watched)
    await world.provide(secrets={"db": SecretUse()})
    await world.provisions.ended("a")
    await world.provide(homeless=True, secrets={"db": SecretUse()}, volumes={})
    await world.provisions.removed("a")
    await world.provide(secrets={"db": SecretUse()})
    await world.provisions.sweep(lambda _: False)
    assert not (world.memory / "a").exists()
    assert len(threads) >= 3
    assert threading.main_thread() not in threads
