"""Empty private directories that are kept for the instances to come, instead of deleting one and making the next.

A node that runs short tasks would do that all day, and a file system may make it dear: ext4 passes over each inode that
was freed in the last half minute when it looks for one, so that a new directory takes ten times as long after a few
hundred deletions. To be kept, a directory has to be as a new one is: nothing in it, and owner, mode and attributes
those that it was made with. Whoever gives one away vouches that no process of its instance is left.
"""

import os
import stat

MOST = 256
"""Kept at a time; what comes beyond is for the caller to delete."""
_PRIVATE = stat.S_IFDIR | 0o700


class Spares:
    """Those of one keeper, in a directory of their own on the same file system; a keeper takes over what one before it
    has left there."""

    def __init__(self, directory: str) -> None:
        """Raises OSError."""
        self._directory = directory
        self._free = [name for name in os.listdir(directory) if name.isdigit()][:MOST]
        self._count = max(map(int, self._free), default=0)
        own = os.stat(directory)
        self._owner = own.st_uid, own.st_gid

    def take(self, target: str) -> bool:
        """Put a spare directory in the place of `target`; False where that is taken, or there is none to be had."""
        if not self._free or os.path.lexists(target):
            return False
        try:
            os.rename(f"{self._directory}/{self._free.pop()}", target)
        except OSError:
            return False
        return True

    def keep(self, directory: str) -> bool:
        """Take in a directory that is not needed any more; False, and nothing done, unless it is as good as new."""
        if len(self._free) >= MOST or not self._is_as_new(directory):
            return False
        self._count += 1
        name = str(self._count)
        try:
            os.rename(directory, f"{self._directory}/{name}")
        except OSError:
            return False
        self._free.append(name)
        return True

    def _is_as_new(self, directory: str) -> bool:
        try:
            status = os.lstat(directory)
            if status.st_mode != _PRIVATE or (status.st_uid, status.st_gid) != self._owner:
                return False
            if os.listxattr(directory, follow_symlinks=False):
                return False
            with os.scandir(directory) as entries:
                return next(entries, None) is None
        except OSError:
            return False
