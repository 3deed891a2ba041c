"""Volumes: directories of this machine that outlive an instance, and which of its paths an instance may be given.

A volume that the node keeps lies at VOLUMES/NAMESPACE/NAME, made at its first use for the user of who uses it first; it
stays when instances go. A path of the machine has to be there already, and neither it nor what it really is behind
symbolic links may be where the system or this node keep their own.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omnitide.drivers.protocol import Mount
from omnitide.model.provisions import Volume
from omnitide.node.provisions.errors import of_disk, permanent
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.tree import Owner, PathUnsafe, Tree, parts_of

NOWHERE: Final = ("none",)
SENSITIVE: Final = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/run",
)
"""Neither these nor what is above or below them, unless the setting names paths."""


class Volumes:
    def __init__(self, folder: Path, own: Sequence[str], allowed: Sequence[str] = ()) -> None:
        """`own`: directories of this node's, which nobody is given. `allowed`: the setting `node.volume_paths`."""
        self._folder = folder
        self._own = tuple(os.path.realpath(path) for path in own)
        self._allowed = tuple(os.path.realpath(path) for path in allowed if path not in NOWHERE)
        self._restricted = bool(allowed)

    def mounts(self, needs: Needs, owner: Owner | None, *, shared: bool = False) -> list[Mount]:
        """What an instance is given, made where it is the node's own. `shared`: what is made is for any user to write
        to, as whose it would have to be is not known, or it cannot be given away. Raises DriverError."""
        found: list[Mount] = []
        for key, volume in needs.volumes.items():
            if volume.source:
                source = self._path(volume)
            else:
                source = self._kept(needs.namespace, volume.name or key, owner, shared=shared)
            found.append(Mount(source=source, target=volume.target, read_only=volume.read_only))
        return found

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

    def _path(self, volume: Volume) -> str:
        source = volume.source
        real = os.path.realpath(source)
        if self._restricted:
            if not any(_within(real, allowed) for allowed in self._allowed):
                raise permanent(
                    f"this node gives nobody {source}: its setting node.volume_paths names other paths",
                    "volume-refused",
                )
        elif real == "/" or any(_within(real, one) or _within(one, real) for one in SENSITIVE):
            raise permanent(
                f"this node gives nobody {source}, where the system keeps its own; its setting node.volume_paths would"
                " have to name it",
                "volume-refused",
            )
        if any(_within(real, one) or _within(one, real) for one in self._own):
            raise permanent(f"this node gives nobody {source}, where Omnitide keeps its own", "volume-refused")
        if not os.path.exists(real):
            raise permanent(f"there is no {source} on this node", "volume-missing")
        return real


def _within(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")
