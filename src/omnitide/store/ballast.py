"""A file that only takes up room, so that there is some to give back when the disk is full.

A store on a full disk cannot even be reopened: recovery writes. Without the ballast the way out of a full disk would
need a person who deletes something first.
"""

import os
from contextlib import suppress
from pathlib import Path

from omnitide.store.disk import is_full


class Ballast:
    """The file at `path`, `size` bytes when there is room for it. A size of 0 means none is kept."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.size = size

    def restore(self) -> bool:
        """Take the room again; False if the disk has not that much. Raises OSError for any other failure."""
        if self.size == 0:
            return True
        with suppress(FileNotFoundError):
            # The blocks, not the length: a crash between creation and allocation leaves a file without room.
            if os.stat(self._path).st_blocks * 512 >= self.size:
                return True
        room = os.statvfs(self._path.parent)
        if room.f_bavail * room.f_frsize < self.size:
            return False
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, self.size)
        except OSError as error:
            self.release()
            if is_full(error):
                return False
            raise
        finally:
            os.close(fd)
        return True

    def release(self) -> None:
        """Give the room back."""
        self._path.unlink(missing_ok=True)
