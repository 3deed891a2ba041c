"""What of this machine belongs to the fabric, and to the runtimes of its instances: nobody is given it, nobody sees it.

Besides the node's own folder that is the one of Nexus beside it, with the administrator's token and the keys, the
folders where other fabrics of this machine keep theirs unless they are told otherwise, and what a container engine
keeps: its files, and its socket, which is a way to root.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from omnitide.config.folders import PARTS, default_root
from omnitide.drivers.protocol import Driver

SYSTEM_ROOT: Final = "/var/lib/omnitide"
_OF_UP: Final = ("up.lock", "profile.json")
"""What `omnitide up` and `join` leave in the root of both."""


@runtime_checkable
class HasPlaces(Protocol):
    """A driver whose runtime keeps something of its own on this machine."""

    def places(self) -> Sequence[str]:
        """Directories and sockets, as far as the runtime has told of them."""
        ...


class OwnPlaces:
    def __init__(self, data: Path, environ: Mapping[str, str], beside: Iterable[str] = ()) -> None:
        """`data`: the node's. `beside`: further ones, as settings name them."""
        found = (str(root_of(data)), str(default_root(environ)), SYSTEM_ROOT, *filter(None, beside))
        self._fixed = tuple(dict.fromkeys(found))
        self._drivers: Sequence[Driver] = ()

    def know(self, drivers: Sequence[Driver]) -> None:
        self._drivers = drivers

    def __call__(self) -> tuple[str, ...]:
        """All of them, as they are now."""
        runtimes = [path for driver in self._drivers if isinstance(driver, HasPlaces) for path in driver.places()]
        return (*self._fixed, *runtimes)


def root_of(data: Path) -> Path:
    """The folder of the whole fabric, if the node's is a part of one as `omnitide up` lays it out; else the node's."""
    above = data.parent
    others = (part for part in PARTS if part != data.name)
    if data.name in PARTS and any((above / name).exists() for name in (*others, *_OF_UP)):
        return above
    return data
