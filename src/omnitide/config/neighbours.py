"""Which fabrics this user has on this machine, wherever their folders are: each Nexus and node says so when it starts.

What runs for one fabric with its user's rights could read the keys of another of the same user, if its node did not
know where that is. One small file a fabric, below the folder where a fabric is unless it is told otherwise; what is
gone is let go of when the next one starts. A fabric that could not say so (a read-only system) is not known to others.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from omnitide.config.folders import PARTS, default_root

FOLDER: Final = "fabrics"
REGISTER_VARIABLE: Final = "OMNITIDE_FABRICS"
"""Names the folder of those files, instead of the one below the default root."""
MOST: Final = 1024
"""Files that are looked at."""
_LONGEST: Final = 4096
_OF_UP: Final = ("up.lock", "profile.json")
"""What `omnitide up` and `join` leave in the root of both."""


class Neighbours:
    """The register of one user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Neighbours":
        named = environ.get(REGISTER_VARIABLE, "")
        return cls(Path(named).expanduser() if named else default_root(environ) / FOLDER)

    def note(self, root: Path) -> None:
        """There is a fabric, or a part of one, in this folder. What cannot be written is not known: no error."""
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            for path, known in self._read():
                if not os.path.lexists(known):
                    path.unlink(missing_ok=True)
            if not (self._folder / name).exists():
                fresh = self._folder / f"{name}.{os.getpid()}"
                fresh.write_bytes(os.fsencode(root))
                fresh.replace(self._folder / name)

    def known(self) -> tuple[str, ...]:
        """Their folders, as far as they are there."""
        return tuple(known for _, known in self._read() if os.path.lexists(known))

    def _read(self) -> list[tuple[Path, str]]:
        found: list[tuple[Path, str]] = []
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(self._folder))[:MOST]:
                path = self._folder / name
                with contextlib.suppress(OSError), path.open("rb") as file:
                    known = os.fsdecode(file.read(_LONGEST))
                    if os.path.isabs(known):
                        found.append((path, known))
        return found


def whole(data: Path) -> Path:
    """The folder of the whole fabric, if this one of Nexus or a node is a part of one as `omnitide up` lays it out;
    else this one."""
    above = data.parent
    others = (part for part in PARTS if part != data.name)
    if data.name in PARTS and any((above / name).exists() for name in (*others, *_OF_UP)):
        return above
    return data
