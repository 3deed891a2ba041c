"""The supervisor's log: a line for everything that happened, in one file of bounded size."""

import os
import time

MAX_BYTES = 1 << 20
"""A log that is larger is set aside, in place of the one set aside before."""


class Journal:
    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """A disk that refuses costs the line, nothing else."""
        seconds, rest = divmod(time.time_ns() // 1_000_000, 1000)
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, f"{stamp} {text}\n".encode("utf-8", "backslashreplace"))
                full = os.fstat(file).st_size > MAX_BYTES
            finally:
                os.close(file)
            if full:
                os.replace(self._path, f"{self._path}.1")
        except OSError:
            pass
