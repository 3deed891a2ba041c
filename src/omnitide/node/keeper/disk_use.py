"""How much of a disk directories take. Used by the keeper's clients."""

import os
import stat
from collections.abc import Iterable

MAX_ENTRIES = 200_000
"""That are looked at; what has more counts for what was found by then, which is most likely enough."""
_BLOCK = 512


def bytes_below(*paths: str) -> int:
    """Of the blocks of all files at and below these paths, each file once however many names it has; links are not
    followed, and what cannot be read or goes meanwhile counts for nothing. Blocks."""
    size, left = 0, MAX_ENTRIES
    seen: set[tuple[int, int]] = set()
    waiting = list(paths)
    while waiting and left > 0:
        path = waiting.pop()
        left -= 1
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
        size += status.st_blocks * _BLOCK
        if stat.S_ISDIR(status.st_mode):
            waiting += _entries(path, left)
    return size


def _entries(path: str, most: int) -> Iterable[str]:
    found: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if len(found) >= most:
                    break
                found.append(entry.path)
    except OSError:
        pass
    return found
