"""The volumes that a node keeps, for who asks after them: which there are, how large, and to be rid of one.

One that an instance of this node uses, or may, is not removed, whatever Nexus thinks of it: the node is asked last.
What is removed leaves its place at once, by a rename, and is erased after that; what a crash leaves of it goes with the
next removal.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from omnitide.drivers.protocol import DriverError
from omnitide.model.names import is_name
from omnitide.node.provisions.errors import of_disk
from omnitide.node.records import LIVE, Phase
from omnitide.node.stimuli import Restored
from omnitide.node.tunnels.talk import Talk
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb

MAX_VOLUMES: Final = 5_000
"""Of which a node tells; there may be more."""
AT_ONCE: Final = 500
"""Volumes in one frame."""
MEASURE_ENTRIES: Final = 100_000
MEASURE_S: Final = 1.0
"""For the sizes of all of them together: those that are not known by then are not told."""
REMOVED: Final = ".removed"
"""Below the folder of volumes; no namespace can be called so."""

log = logs.get(__name__)


class Kept(NamedTuple):
    namespace: str
    name: str
    size: int
    """Bytes on disk; -1: it was not measured to its end."""


class KeptVolumes:
    def __init__(self, folder: Path, snapshot: Callable[[], Restored]) -> None:
        """`snapshot`: what is desired and known here, now."""
        self._folder = folder
        self._snapshot = snapshot
        self._removing = asyncio.Lock()

    async def send(self, talk: Talk) -> None:
        """All that there are. Raises LinkClosed, DriverError."""
        found = await asyncio.to_thread(kept, self._folder)
        for start in range(0, len(found), AT_ONCE):
            part = found[start : start + AT_ONCE]
            told = [pb.VolumeFact(namespace=one.namespace, name=one.name, size_bytes=one.size) for one in part]
            await talk.send(pb.TunnelFrame(volumes=pb.VolumeFacts(volumes=told)))
        await talk.send(pb.TunnelFrame(end=True))

    async def remove(self, talk: Talk, request: pb.EraseVolumeRequest) -> None:
        """Raises LinkClosed, DriverError."""
        namespace, name = request.namespace, request.name
        if not (is_name(namespace) and is_name(name)):
            raise DriverError(f"{namespace}/{name} is no volume", cause="no-such-volume", permanent=True)
        async with self._removing:
            users = users_of(self._snapshot(), namespace, name)
            if users:
                message = f"{', '.join(users[:3])} on this node uses the volume {namespace}/{name}"
                raise DriverError(message, cause="in-use", permanent=False)
            # On the event loop, so that no instance comes to be between the question and this.
            aside = _put_aside(self._folder, namespace, name)
            log.info("a volume is removed", namespace=namespace, volume=name)
            await asyncio.to_thread(_erase, aside.parent)
        await talk.send(pb.TunnelFrame(end=True))


def users_of(known: Restored, namespace: str, name: str) -> list[str]:
    """Instances that use a volume, or may: one whose spec is not known any more, or cannot be read, is one of them."""
    ended = {record.report.instance for record in known.records if record.report.phase is Phase.ENDED}
    found: list[str] = []
    for assignment in known.assignments:
        if assignment.instance in ended or assignment.namespace != namespace:
            continue
        try:
            spec = msgspec.json.decode(known.specs[assignment.spec_key], type=_Volumes)
        except (KeyError, msgspec.MsgspecError):
            found.append(assignment.name)
            continue
        names = {volume.name or key for key, volume in spec.volumes.items() if not volume.source}
        if name in names:
            found.append(assignment.name)
    assigned = {assignment.instance for assignment in known.assignments}
    loose = (one.report for one in known.records if one.report.instance not in assigned)
    found += [f"{report.instance}, which is being ended," for report in loose if report.phase in LIVE]
    return sorted(found)


class _Volume(msgspec.Struct, frozen=True):
    source: str = ""
    name: str | None = None


class _Volumes(msgspec.Struct, frozen=True):
    """Of a spec, what is asked of it here: a newer one has more."""

    volumes: dict[str, _Volume] = {}


def kept(folder: Path) -> list[Kept]:
    """In order of namespace and name. Blocks: for a thread. Raises DriverError."""
    budget = _Budget(time.monotonic() + MEASURE_S)
    found: list[Kept] = []
    try:
        for namespace in _folders(folder):
            for name in _folders(folder / namespace):
                if len(found) == MAX_VOLUMES:
                    return found
                found.append(Kept(namespace, name, budget.size(folder / namespace / name)))
    except OSError as error:
        raise of_disk(error, "volumes") from None
    return found


def _folders(folder: Path) -> Sequence[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(one.name for one in entries if is_name(one.name) and one.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return ()


class _Budget:
    """Of the effort for measuring."""

    def __init__(self, until: float) -> None:
        self._until = until
        self._entries = MEASURE_ENTRIES

    def size(self, folder: Path) -> int:
        total = 0
        waiting = [str(folder)]
        while waiting:
            if self._entries <= 0 or time.monotonic() > self._until:
                return -1
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        self._entries -= 1
                        found = entry.stat(follow_symlinks=False)
                        total += found.st_blocks * 512
                        if stat.S_ISDIR(found.st_mode):
                            waiting.append(entry.path)
            except (PermissionError, FileNotFoundError):
                return -1
        return total


def _put_aside(folder: Path, namespace: str, name: str) -> Path:
    """Where it is now. Raises DriverError."""
    path = folder / namespace / name
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise FileNotFoundError
        away = folder / REMOVED
        away.mkdir(0o700, exist_ok=True)
        target = away / f"{namespace}.{name}.{secrets.token_hex(4)}"
        path.rename(target)
    except FileNotFoundError:
        raise DriverError(
            f"there is no volume {namespace}/{name} here", cause="no-such-volume", permanent=True
        ) from None
    except OSError as error:
        raise of_disk(error, f"volume {namespace}/{name}") from None
    with contextlib.suppress(OSError):
        (folder / namespace).rmdir()  # only if it was the last
    return target


def _erase(folder: Path) -> None:
    """Also what earlier removals have left. What cannot be erased is told of, and stays there."""
    for entry in _entries(folder):
        # Into a folder that its owner has closed to itself nobody but root could look otherwise.
        with contextlib.suppress(OSError):
            for *_, descriptor in os.fwalk(entry):
                os.fchmod(descriptor, 0o700)
        try:
            shutil.rmtree(entry)
        except OSError as error:
            log.warning("something of a removed volume could not be erased", path=entry, error=str(error))


def _entries(folder: Path) -> list[str]:
    try:
        return [str(one) for one in folder.iterdir()]
    except OSError:
        return []
