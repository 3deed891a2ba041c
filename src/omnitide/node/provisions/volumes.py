"""Volumes: directories of this machine that outlive an instance, and which of its paths an instance may be given.

A volume that the node keeps lies at VOLUMES/NAMESPACE/NAME, made at its first use for the user of who uses it first; it
stays when instances go. A path of the machine has to be there already, and what it really is, behind symbolic links and
by whatever mount, may not be where the system, Omnitide or a container engine keep their own.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from omnitide.drivers import places
from omnitide.drivers.places import overlap, within
from omnitide.drivers.protocol import Mount
from omnitide.model.host_paths import OF_ALL, SENSITIVE
from omnitide.node.provisions.errors import of_disk, permanent
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.tree import Owner, PathUnsafe, Tree, parts_of

NOWHERE: Final = ("none",)
_OF_A_USER: Final = ".local/state/omnitide"
"""In a home: where a user's fabric is, unless it is told otherwise."""

_MARKS: Final = ("admin-token", "nexus/admin-token")
"""Of the folder of a Nexus, and of one with it."""
_OUT_OF_SIGHT: Final = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)
"""Why a path cannot be looked at that will be the same the next time."""
STAGED: Final = ".new"
"""Below the folder of volumes, where those are that are being filled; no namespace can be called so."""


class Fresh(NamedTuple):
    """A volume that is not there yet, and is to begin with an image's files."""

    target: str
    staged: Path
    path: Path


class Volumes:
    def __init__(self, folder: Path, own: Callable[[], Sequence[str]], allowed: Sequence[str] = ()) -> None:
        """`own`: what nobody is given, whatever is allowed. `allowed`: the setting `node.volume_paths`."""
        self._folder = folder
        self._own = own
        self._allowed = tuple(os.path.realpath(path) for path in allowed if path not in NOWHERE)
        self._restricted = bool(allowed)

    def mounts(self, needs: Needs, owner: Owner | None, *, shared: bool = False) -> list[Mount]:
        """What an instance is given, made where it is the node's own. `shared`: what is made is for any user to write
        to, as whose it would have to be is not known, or it cannot be given away. Raises DriverError."""
        found: list[Mount] = []
        for key, volume in needs.volumes.items():
            firm = bool(volume.source)
            if volume.source:
                source = self._path(volume.source)
            else:
                source = self._kept(needs.namespace, volume.name or key, owner, shared=shared)
            found.append(Mount(source=source, target=volume.target, read_only=volume.read_only, firm=firm))
        return found

    def permit(self, needs: Needs) -> dict[str, str]:
        """Whether it may have what no mount of this is needed for: places that a sandbox leaves open, which are as good
        as volumes; returns what they really are. And nobody can have a volume for reading only as a link. Raises
        DriverError."""
        for volume in needs.volumes.values():
            if volume.read_only and not needs.mounted:
                message = f"a plain process finds {volume.target} as a link, and would write as its user may"
                raise permanent(f'{message}: read_only takes isolation = "sandbox"', "volume-refused")
        return {path: self._path(path) for path in needs.writable}

    def link(self, directory: str, mounts: Sequence[Mount], owner: Owner | None) -> None:
        """For who sees the machine's own paths: the targets, below its directory, as links. Raises DriverError."""
        try:
            with Tree(directory, owner) as tree:
                for mount in mounts:
                    tree.link(parts_of(mount.target), mount.source)
        except PathUnsafe as error:
            raise permanent(f"a volume cannot be put in its place: {error}", "volume") from None
        except OSError as error:
            raise of_disk(error, "volumes") from None

    def fresh(self, needs: Needs) -> list[Fresh]:
        """Those of the node's own that would be made, and filled before."""
        return [
            Fresh(volume.target, self._folder / STAGED / f"{needs.namespace}.{name}", path)
            for key, volume in needs.volumes.items()
            if not volume.source and not volume.nocopy
            for name in (volume.name or key,)
            for path in (self._folder / needs.namespace / name,)
            if not path.is_dir()
        ]

    def begin(self, fresh: Fresh, owner: Owner | None, *, shared: bool) -> None:
        """An empty directory in place of whatever an earlier attempt left. Raises DriverError."""
        try:
            for above in (self._folder, fresh.staged.parent, fresh.path.parent):
                above.mkdir(0o711, exist_ok=True)
                above.chmod(0o711)  # whatever the umask
            if fresh.staged.exists():
                shutil.rmtree(fresh.staged)
            Tree(str(fresh.staged), owner).__exit__(None, None, None)
            if shared:
                fresh.staged.chmod(0o777)
        except OSError as error:
            raise of_disk(error, f"volume {fresh.path.parent.name}/{fresh.path.name}") from None

    def finish(self, fresh: Fresh, owner: Owner | None) -> None:
        """It is the volume from now on, whole. Raises DriverError."""
        try:
            if owner is not None and owner.uid and not fresh.staged.stat().st_uid:
                # The image's directory is root's, and its program is not: as before, it may write to its volume.
                os.chown(fresh.staged, owner.uid, owner.gid)
            fresh.staged.rename(fresh.path)
        except OSError as error:
            raise of_disk(error, f"volume {fresh.path.parent.name}/{fresh.path.name}") from None

    def _kept(self, namespace: str, name: str, owner: Owner | None, *, shared: bool) -> str:
        path = self._folder / namespace / name
        try:
            for above in (self._folder, self._folder / namespace):
                with contextlib.suppress(FileExistsError):
                    above.mkdir(0o711)
                    above.chmod(0o711)  # whatever the umask
            if not path.is_dir():
                Tree(str(path), owner).__exit__(None, None, None)
                if shared:
                    path.chmod(0o777)
        except OSError as error:
            raise of_disk(error, f"volume {namespace}/{name}") from None
        return str(path)

    def _path(self, source: str) -> str:
        """What it really is. Raises DriverError."""
        try:
            real = os.path.realpath(source)
            is_there = _is_there(real)
        except OSError as error:
            if error.errno not in _OUT_OF_SIGHT:
                raise of_disk(error, source) from None
            message = f"this node may not look at {source}: {error.strerror}"
            raise permanent(message, "volume-refused") from None
        mounts = places.mounted()
        if self._restricted:
            if not any(within(real, allowed) for allowed in self._allowed):
                raise permanent(
                    f"this node gives nobody {source}: its setting node.volume_paths names other paths",
                    "volume-refused",
                )
        elif real in OF_ALL or any(overlap(real, one) for one in places.names(places.real(SENSITIVE), mounts)):
            raise permanent(
                f"this node gives nobody {source}, where the system keeps its own; its setting node.volume_paths would"
                " have to name it",
                "volume-refused",
            )
        own = places.names(places.real(self._own()), mounts)
        if _is_anothers(real) or any(overlap(real, one) for one in own):
            message = f"this node gives nobody {source}, where Omnitide or a container engine keeps its own"
            raise permanent(message, "volume-refused")
        if not is_there:
            raise permanent(f"there is no {source} on this node", "volume-missing")
        return real


def _is_there(real: str) -> bool:
    """Raises OSError if that cannot be told."""
    try:
        os.stat(real)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _is_anothers(real: str) -> bool:
    """Whether it is, or holds, the folder of a fabric that is not this node's: of a user, or wherever a Nexus is."""
    if f"/{_OF_A_USER}/" in f"{real}/" or os.path.lexists(os.path.join(real, _OF_A_USER)):
        return True
    above = (real, *map(str, Path(real).parents))
    return any(os.path.lexists(f"{one}/{mark}") for one in above for mark in _MARKS)
