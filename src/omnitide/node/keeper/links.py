"""Symbolic links in an instance's private directory, by which a plain process finds what is mounted for it.

The directory is the instance's own: an attempt before may have put anything there. So no link is followed on the way.
"""

import os
import stat

from omnitide.node.keeper.spec import Identity


def make(directory: str, links: tuple[tuple[str, str], ...], identity: Identity | None) -> None:
    """Make each path below `directory` lead where it shall; an older link gives way, anything else is in the way.

    Directories between are made, for `identity`. Raises OSError.
    """
    for path, source in links:
        *parents, name = path.split("/")
        folder = os.open(directory, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for parent in parents:
                inner = _enter(folder, parent, identity)
                os.close(folder)
                folder = inner
            _link(folder, name, source)
        finally:
            os.close(folder)


def _enter(folder: int, name: str, identity: Identity | None) -> int:
    """The directory of that name in `folder`, made if need be."""
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        pass
    else:
        if identity is not None:
            os.chown(name, identity.uid, identity.gid, dir_fd=folder, follow_symlinks=False)
    return os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def _link(folder: int, name: str, source: str) -> None:
    try:
        os.symlink(source, name, dir_fd=folder)
    except FileExistsError:
        if not stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            raise
        if os.readlink(name, dir_fd=folder) != source:
            os.unlink(name, dir_fd=folder)
            os.symlink(source, name, dir_fd=folder)
