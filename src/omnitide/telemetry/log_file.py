"""The file that a process logs to: bounded while it runs, whatever else of the process writes to its standard error."""

import contextlib
import os
import sys
from typing import Final

MODE: Final = 0o600
_OUTPUTS: Final = (1, 2)
"""Standard output and error: what libraries print by themselves goes the same way and counts as well."""


class LogFile:
    """Standard output and error of this process, as a file that is begun anew when it has `max_bytes`.

    The last one is then `<path>.1`, the one before it `<path>.2`, up to `keep` of them: no more than
    `(keep + 1) * max_bytes` and one record are on disk.
    """

    def __init__(self, path: str, max_bytes: int, keep: int) -> None:
        """Raises OSError where there cannot be such a file."""
        self._path = os.path.abspath(path)
        self._max_bytes = max_bytes
        self._keep = keep
        if not self._is_output():
            self._open()

    def turn_if_full(self) -> None:
        """A file that cannot be set aside goes on growing, and is tried again with the next record."""
        with contextlib.suppress(OSError):
            if os.fstat(_OUTPUTS[-1]).st_size < self._max_bytes:
                return
            # Set aside by somebody else, or by a turn that could not be finished: only to be begun anew.
            if self._is_output():
                self._set_aside()
            self._open()

    def _set_aside(self) -> None:
        if not self._keep:
            os.unlink(self._path)
            return
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")

    def _open(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        try:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number in _OUTPUTS:
                os.dup2(file, number)
        finally:
            os.close(file)

    def _is_output(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(_OUTPUTS[-1]))
        except FileNotFoundError:
            return False
