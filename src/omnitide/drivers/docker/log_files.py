"""Whether the beginning of a container's output is still kept: the engine's rotation drops it and tells nobody.

The file that a container's output begins in is marked, by an attribute that it keeps when rotation renames it, and that
no later file has. That takes an engine on this machine whose files this node may change, as root may; elsewhere nothing
is known, and nothing is said.
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

ATTRIBUTE: Final = "user.omnitide.first"


def begin(root: str, container: str) -> None:
    """Make the file of a container that is about to be started, where Docker would make it: one that is there is gone
    on with. Where it is not so, `mark` comes in time for all but the quickest."""
    folder = Path(root, "containers", container)
    if not root or not folder.is_dir():
        return
    path = folder / f"{container}-json.log"
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
        os.setxattr(path, ATTRIBUTE, b"1")


def mark(path: str) -> None:
    """Of a container that has just been started. One that has rotated since stays unmarked: then the beginning may be
    gone already."""
    if not path or not beginning_lost(path):
        return
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.setxattr(file, ATTRIBUTE, b"1")
            if os.path.exists(f"{path}.1") or not os.path.samestat(os.fstat(file), os.stat(path)):
                os.removexattr(file, ATTRIBUTE)
        finally:
            os.close(file)


def beginning_lost(path: str) -> bool:
    """Whether what is kept begins with another file than the container's output did. False where it is not known."""
    if not path:
        return False
    folder, name = os.path.split(path)
    try:
        names = [one for one in os.listdir(folder) if one == name or one.startswith(f"{name}.")]
        marked = [one for one in names if _marked(Path(folder, one))]
        return bool(names) and not marked and _can_be_marked(Path(folder))
    except OSError:
        return False


def _marked(path: Path) -> bool:
    try:
        os.getxattr(path, ATTRIBUTE)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOENT):
            return False
        raise
    return True


def _can_be_marked(folder: Path) -> bool:
    """Whether this node can have marked it."""
    return os.access(folder, os.W_OK)
