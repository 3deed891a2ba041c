"""Small facts about disks that several files here need."""

import errno
import fcntl
import os
from pathlib import Path


def is_full(error: OSError) -> bool:
    """Whether the error says that there is no room (disk or quota)."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def take_lock(path: Path) -> int | None:
    """Lock the file at `path`, made if it is missing; None if it is locked already, also by this process.

    The lock is held until the descriptor that is returned is closed, or the process dies. Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Make a directory and those above it, where they are missing, durably. Raises OSError."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700)
        sync_directory(each.parent)
