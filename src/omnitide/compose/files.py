"""Where the files of a project are read: from the disk of whoever imports, or from what was handed over, and nothing
else. A Nexus imports what it was sent, and must never be made to read a file of its own machine by it."""

import errno
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, Protocol


class Files(Protocol):
    def read(self, path: Path, most: int) -> bytes:
        """`most` bytes and one more, if there are. Raises OSError, ValueError."""
        ...

    def is_file(self, path: Path) -> bool: ...

    def exists(self, path: Path) -> bool: ...

    def expand(self, text: str) -> str:
        """With a leading `~` as the home that it means."""
        ...


class _OnDisk:
    def read(self, path: Path, most: int) -> bytes:
        with path.open("rb") as opened:
            return opened.read(most + 1)

    def is_file(self, path: Path) -> bool:
        return path.is_file()

    def exists(self, path: Path) -> bool:
        return path.exists()

    def expand(self, text: str) -> str:
        return os.path.expanduser(text)


class Given:
    """Files by their absolute paths. `~` is nobody's home here: it stays as it is written."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {os.path.normpath(path): data for path, data in files.items()}

    def read(self, path: Path, most: int) -> bytes:
        data = self._files.get(os.path.normpath(path))
        if data is None:
            raise OSError(errno.EACCES, "it is not among the files that were given")
        return data[: most + 1]

    def is_file(self, path: Path) -> bool:
        return os.path.normpath(path) in self._files

    def exists(self, path: Path) -> bool:
        return self.is_file(path)

    def expand(self, text: str) -> str:
        return text


_DISK: Final = _OnDisk()
_source: Final[ContextVar[Files]] = ContextVar("compose.files")


def reader() -> Files:
    """Those of the import under way."""
    return _source.get(_DISK)


@contextmanager
def reading(source: Files) -> Generator[None]:
    """Imports within read from there alone."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)
