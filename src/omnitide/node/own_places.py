"""What of this machine belongs to the fabric, and to the runtimes of its instances: nobody is given it, nobody sees it.

Besides the node's own folder that is the one of Nexus beside it, with the administrator's token and the keys, the
folders of other fabrics of this machine (where they are unless they are told otherwise, and where those of the same
user have said that they are), and what a container engine keeps: its files, and its socket, which is a way to root.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from omnitide.config.folders import default_root
from omnitide.config.neighbours import Neighbours, whole
from omnitide.drivers.protocol import Driver

SYSTEM_ROOT: Final = "/var/lib/omnitide"


@runtime_checkable
class HasPlaces(Protocol):
    """A driver whose runtime keeps something of its own on this machine."""

    def places(self) -> Sequence[str]:
        """Directories and sockets, as far as the runtime has told of them."""
        ...


class OwnPlaces:
    def __init__(
        self,
        data: Path,
        environ: Mapping[str, str],
        beside: Iterable[str] = (),
        neighbours: Neighbours | None = None,
    ) -> None:
        """`data`: the node's. `beside`: further ones, as settings name them. `neighbours`: where other fabrics say
        where they are; without it, this user's."""
        found = (str(whole(data)), str(default_root(environ)), SYSTEM_ROOT, *filter(None, beside))
        self._fixed = tuple(dict.fromkeys(found))
        self._neighbours = neighbours or Neighbours.of(environ)
        self._drivers: Sequence[Driver] = ()

    def know(self, drivers: Sequence[Driver]) -> None:
        self._drivers = drivers

    def __call__(self) -> tuple[str, ...]:
        """All of them, as they are now."""
        runtimes = [path for driver in self._drivers if isinstance(driver, HasPlaces) for path in driver.places()]
        return tuple(dict.fromkeys((*self._fixed, *self._neighbours.known(), *runtimes)))
