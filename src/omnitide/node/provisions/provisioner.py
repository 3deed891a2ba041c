"""All provisions of a node's instances: made before a start, replaced while one runs, forgotten when it has gone."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable
from weakref import WeakValueDictionary

from msgspec.structs import replace

from omnitide.drivers import process_user
from omnitide.drivers.protocol import Driver, Launch, Mount, Progress
from omnitide.node.keeper.disk_use import bytes_below
from omnitide.node.own_places import OwnPlaces
from omnitide.node.provisions.artifacts import Artifacts
from omnitide.node.provisions.cache import Cache
from omnitide.node.provisions.devices import Devices
from omnitide.node.provisions.files import SecretFiles
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.supply import Supply
from omnitide.node.provisions.tree import Owner
from omnitide.node.provisions.values import KeptValues, credentials_of, environment_of
from omnitide.node.provisions.volumes import Fresh, Volumes
from omnitide.node.turns import Turns
from omnitide.security.memory_folder import memory_root

VOLUMES: Final = "volumes"
CACHE: Final = "cache"
STAGED: Final = "artifacts"
"""Folders in the node's data directory. `artifacts` holds those of instances without a directory of their own."""
MAX_FILLING: Final = 4
"""Volumes that are filled at once; further ones wait their turn."""
FILL_DEADLINE: Final = 1800.0
"""For each of them."""

Ready = Callable[[Launch], Awaitable[None]]
"""Has the driver prepare a launch, when it is its turn. Raises DriverError."""


@runtime_checkable
class HasDirectory(Protocol):
    """A driver whose instances have a directory on this machine. The others are given everything as mounts."""

    def directory(self, instance: str) -> str:
        """Where it is; the parents are made by this call."""
        ...


@runtime_checkable
class HasOwner(Protocol):
    """A driver whose instances have users of their own."""

    async def owner(self, launch: Launch) -> tuple[int, int]:
        """User and group of the instance's program by number, once `prepare` is done. Raises DriverError."""
        ...


@runtime_checkable
class HasContent(Protocol):
    """A driver whose instances come with files of their own."""

    async def fill(self, launch: Launch, target: str, directory: str) -> None:
        """Put what there is at a path of the instance's into an empty directory of the node, with its owners and modes,
        the directory's own too; nothing where there is nothing. Raises DriverError."""
        ...


class Provisions(Protocol):
    """What the node proxy needs of it."""

    @property
    def root(self) -> str:
        """Below which files of secrets are; empty where they cannot be."""
        ...

    async def provide(self, driver: Driver, launch: Launch, needs: Needs, told: Progress, ready: Ready) -> Launch: ...

    async def refresh(self, needs: Needs) -> None: ...

    async def ended(self, instance: str) -> None: ...

    async def removed(self, instance: str) -> None: ...

    async def kept_bytes(self, instance: str) -> int: ...

    async def sweep(self, wanted: Callable[[str], bool]) -> None: ...


class NodeProvisions:
    """On a real machine, below the node's data directory."""

    def __init__(
        self,
        data: Path,
        supply: Supply,
        *,
        node_id: str,
        cache_bytes: int,
        most: int,
        allowed: tuple[str, ...] = (),
        devices: tuple[str, ...] = (),
        own: Callable[[], Sequence[str]] | None = None,
        memory: Path | None = None,
    ) -> None:
        """`own`: what nobody is given; without it, what `OwnPlaces` finds. `memory`: instead of the folder that is
        found on a file system in memory. Raises OSError."""
        self._staged = data / STAGED
        self._files = SecretFiles(memory or memory_root(node_id))
        self._values = KeptValues(supply)
        self._artifacts = Artifacts(Cache(data / CACHE, cache_bytes), supply, most)
        self._volumes = Volumes(data / VOLUMES, own or OwnPlaces(data, os.environ), allowed)
        self._devices = Devices(devices)
        self._turns = Turns("fill", "volumes", MAX_FILLING)
        self._filling: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        """By volume: for whoever needs the same, one fills it."""

    @property
    def root(self) -> str:
        return self._files.root

    async def provide(self, driver: Driver, launch: Launch, needs: Needs, told: Progress, ready: Ready) -> Launch:
        """The launch with all that its spec names, which is then there. Raises DriverError."""
        if needs.nothing:
            return launch
        launch = replace(launch, real=await asyncio.to_thread(self._volumes.permit, needs))
        await asyncio.to_thread(self._devices.permit, needs.devices)
        mounts: list[Mount] = []
        values = None
        if needs.values:
            values = await self._values.of(needs, told)
            launch = replace(
                launch,
                environment={**launch.environment, **environment_of(needs, values)},
                credentials=credentials_of(needs, values),
            )
        owner = await _owner(driver, launch, needs, ready)
        if values is not None:
            mounts += await asyncio.to_thread(self._files.write, needs, values, owner)
            # What follows may take long, and they may be large: not held twice for that.
            values = None
        directory = ""
        if (needs.artifacts or needs.volumes) and isinstance(driver, HasDirectory):
            directory = await asyncio.to_thread(driver.directory, needs.instance)
        if needs.artifacts:
            staged = directory or await asyncio.to_thread(self._stage, needs.instance)
            laid = await self._artifacts.lay(needs.instance, needs.artifacts, staged, owner, told)
            mounts += () if directory else _below_files(laid, staged)
        if needs.volumes:
            # Whom a container's program is outside of it nobody knows here; see `_owner`.
            shared = owner is None and isinstance(driver, HasOwner)
            if isinstance(driver, HasContent):
                await self._fill(driver, launch, needs, owner, told, ready, shared=shared)
            volumes = await asyncio.to_thread(self._volumes.mounts, needs, owner, shared=shared)
            if directory and not needs.mounted:
                await asyncio.to_thread(self._volumes.link, directory, volumes, owner)
            else:
                mounts += volumes
        return replace(launch, mounts=(*launch.mounts, *mounts))

    async def _fill(
        self,
        driver: HasContent,
        launch: Launch,
        needs: Needs,
        owner: Owner | None,
        told: Progress,
        ready: Ready,
        *,
        shared: bool,
    ) -> None:
        """Volumes that are used for the first time begin with what is at their target. Raises DriverError."""
        found = await asyncio.to_thread(self._volumes.fresh, needs)
        if not found:
            return
        await ready(launch)
        for fresh in found:
            what = f"volume {fresh.path.parent.name}/{fresh.path.name}"
            lock = self._filling.setdefault(fresh.path, asyncio.Lock())
            if lock.locked():
                told(f"waiting for {what}, which is being filled for another instance")
            async with lock:
                if not await asyncio.to_thread(fresh.path.is_dir):
                    async with self._turns.turn(what, told, FILL_DEADLINE):
                        await self._fill_one(driver, launch, fresh, owner, shared=shared)

    async def _fill_one(
        self, driver: HasContent, launch: Launch, fresh: Fresh, owner: Owner | None, *, shared: bool
    ) -> None:
        await asyncio.to_thread(self._volumes.begin, fresh, owner, shared=shared)
        await driver.fill(launch, fresh.target, str(fresh.staged))
        await asyncio.to_thread(self._volumes.finish, fresh, owner)

    async def refresh(self, needs: Needs) -> None:
        """Put the present values in the place of those that a running instance has in files. Raises DriverError."""
        owner = await asyncio.to_thread(self._files.owner, needs.instance)
        values = await self._values.of(needs, lambda _: None)
        await asyncio.to_thread(lambda: self._files.write(needs, values, owner, running=True))

    async def ended(self, instance: str) -> None:
        """It does not start again: its secrets go at once."""
        self._values.forget(instance)
        await asyncio.to_thread(self._files.remove, instance)

    async def removed(self, instance: str) -> None:
        """It is forgotten."""
        await self.ended(instance)
        self._artifacts.forget(instance)
        await asyncio.to_thread(shutil.rmtree, self._staged / instance, ignore_errors=True)

    async def kept_bytes(self, instance: str) -> int:
        """What is kept of it besides what its driver keeps."""
        return await asyncio.to_thread(bytes_below, str(self._staged / instance))

    async def sweep(self, wanted: Callable[[str], bool]) -> None:
        """At the start: what a proxy before this one has left of instances that are gone."""
        await asyncio.to_thread(self._files.sweep, wanted)

    def leave(self) -> None:
        """The node ends; what goes on keeps what it has."""
        self._artifacts.close()
        self._files.leave()

    def _stage(self, instance: str) -> str:
        self._staged.mkdir(exist_ok=True)
        self._staged.chmod(0o711)
        return str(self._staged / instance)


class NoProvisions:
    """Where nothing is provided: in a simulation. Specs that need something are not used there."""

    root = ""

    async def provide(self, driver: Driver, launch: Launch, needs: Needs, told: Progress, ready: Ready) -> Launch:
        del driver, needs, told, ready
        return launch

    async def refresh(self, needs: Needs) -> None:
        del needs

    async def ended(self, instance: str) -> None:
        del instance

    async def removed(self, instance: str) -> None:
        del instance

    async def kept_bytes(self, instance: str) -> int:
        del instance
        return 0

    async def sweep(self, wanted: Callable[[str], bool]) -> None:
        del wanted


async def _owner(driver: Driver, launch: Launch, needs: Needs, ready: Ready) -> Owner | None:
    """Who the instance's files are to belong to. None: this node's own user, also where it can give nothing away; then
    a container's are for whoever is in it. Raises DriverError."""
    if not isinstance(driver, HasOwner):
        return await asyncio.to_thread(owner_of, needs.user)
    if not may_give_away() or not needs.laid:
        return None
    await ready(launch)
    return Owner(*await driver.owner(launch))


def may_give_away() -> bool:
    """Whether this process can make files somebody else's."""
    return os.geteuid() == 0


def owner_of(user: str) -> Owner | None:
    """Who an instance's files belong to; None: this node's own user. Raises DriverError."""
    if not user or not may_give_away():
        return None
    name, colon, group = user.partition(":")
    if name.isdecimal() and (not colon or group.isdecimal()):
        return Owner(int(name), int(group) if colon else int(name))
    identity = process_user.resolve(user)
    return None if identity is None else Owner(int(str(identity["uid"])), int(str(identity["gid"])))


def _below_files(mounts: list[Mount], staged: str) -> list[Mount]:
    """An archive that is unpacked into the directory itself is there by what lies in it."""
    found = {mount.target: mount for mount in mounts}
    for name in sorted(os.listdir(staged)):
        if not any(target == name or target.startswith(f"{name}/") for target in found):
            found[name] = Mount(source=f"{staged}/{name}", target=name)
    return list(found.values())
