"""A file of the kernel that is read again and again: opened once, since to open one costs more than to read it."""

import os
from typing import Final

SIZE: Final = 16 << 10
MOST: Final = 1 << 20


class KeptFile:
    """`read` is empty where there is no such file; it is looked for again at each `reopen`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._size = SIZE
        self._fd = -1
        self.reopen()

    def reopen(self) -> None:
        self.close()
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def read(self) -> bytes:
        if self._fd < 0:
            return b""
        try:
            found = os.pread(self._fd, self._size, 0)
            while len(found) == self._size and self._size < MOST:
                self._size *= 2
                found = os.pread(self._fd, self._size, 0)
        except OSError:
            return b""
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
