"""Where a directory was when somebody wrote into it, so that whoever reads it can tell a copy from the original.

A journal, a keeper's id and a proxy's memory are of one directory and of what runs for it. In a copy they speak of
processes that are another's. The directory is told by device and inode: it keeps them when it is renamed or mounted in
another place, and no copy on the same file system has them.
"""

import errno
import json
import os
from typing import NamedTuple, cast

from omnitide.node.keeper import linux, processes, protocol
from omnitide.node.keeper.protocol import Json, Refused


class Place(NamedTuple):
    """A directory and the process that had it."""

    directory: str
    device: int
    inode: int
    boot: str
    pid: int
    started: int
    """Of the process, in ticks since boot."""


def here(directory: str) -> Place:
    """The directory as it is now, had by this process. Raises OSError."""
    status = os.stat(directory)
    own = processes.look_up(os.getpid())
    return Place(
        directory=os.path.realpath(directory),
        device=status.st_dev,
        inode=status.st_ino,
        boot=linux.boot_id(),
        pid=os.getpid(),
        started=own.started if own else 0,
    )


def is_same(then: Place, now: Place) -> bool:
    """Whether the directory is the one that it was. The caller holds its lock, which the one before must have lost."""
    if then.inode != now.inode:
        return False
    if then.device == now.device:
        return True
    # A device may be numbered anew when the machine starts. A copy on another one has the same inode by chance only,
    # and is told by its owner, who lives and yet has no lock on this.
    return then.directory == now.directory and not is_alive(then)


def is_there(then: Place) -> bool:
    """Whether the directory is still where it was."""
    try:
        status = os.stat(then.directory)
    except OSError:
        return False
    return status.st_ino == then.inode and (status.st_dev == then.device or then.boot != linux.boot_id())


def is_alive(then: Place) -> bool:
    """Whether the process that had the directory still runs."""
    if then.boot != linux.boot_id():
        return False
    process = processes.look_up(then.pid)
    return process is not None and process.started == then.started and not process.dead


def encode(place: Place) -> str:
    return json.dumps(place._asdict())


def decode(text: str) -> Place | None:
    """None for what is no place."""
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            return None
        known = cast("Json", fields)
        return Place(
            directory=protocol.text(known, "directory"),
            device=protocol.number(known, "device", most=2**64),
            inode=protocol.number(known, "inode", most=2**64),
            boot=protocol.text(known, "boot"),
            pid=protocol.number(known, "pid"),
            started=protocol.number(known, "started"),
        )
    except (ValueError, Refused):
        return None


def read(path: str) -> Place | None:
    """The place that a file tells; None if there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return decode(file.read(8192))
    except (OSError, UnicodeDecodeError):
        return None


def write(path: str, place: Place) -> None:
    """Put a file in place that tells it; on a disk without room for one, write over the one that is there, which takes
    none. Raises OSError."""
    partial = f"{path}~"
    text = encode(place).encode()
    try:
        with open(partial, "wb") as file:
            file.write(text)
        os.rename(partial, path)
    except OSError as error:
        if os.path.lexists(partial):
            os.unlink(partial)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not os.path.lexists(path):
            raise
        with open(path, "r+b", buffering=0) as file:
            file.write(text)
            file.truncate()
