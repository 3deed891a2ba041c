"""Disks without room: an error of the system says that there is none, but not where."""

import errno
import os
from pathlib import Path
from typing import Final

FULL_BYTES: Final = 64 << 20
"""With less room than this a disk counts as full: the event log takes nothing more before it has as much."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(folder: Path) -> int:
    """For this user; -1 where nobody knows."""
    for place in (folder, *folder.parents):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return -1


def full(folder: Path) -> bool:
    return 0 <= free_bytes(folder) < FULL_BYTES


def words_of(error: BaseException, folder: Path) -> str:
    """An error in words; where there is no room on the disk of the folder that is at work, that disk is named."""
    text = str(error)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        text = f"{f'{error.filename}: ' if error.filename else ''}{os.strerror(error.errno or 0)}"
    elif not full(folder):
        return text
    return f"{text} (the disk of {folder} has {free_bytes(folder) >> 10} KiB free)"
