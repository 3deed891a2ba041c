"""One process on one data directory: a lock that ends with its holder, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path


class DataInUse(Exception):
    """Another process uses the data directory."""

    def __init__(self, directory: Path, what: str, holder: str) -> None:
        who = f"the {what} with process id {holder}" if holder else f"another {what}"
        super().__init__(f"{directory} is in use by {who}; stop it first, or give another --data")
        self.directory = directory
        self.holder = holder
        """Its process id; empty if it has not said so yet."""


@contextlib.contextmanager
def lock_data(directory: Path, name: str, what: str) -> Generator[None]:
    """Hold a data directory. `name`: of the lock file in it; `what`: the kind of process, for whoever comes second.

    The kernel lets go of the lock when the process is gone; the file stays and says who was last.
    Raises DataInUse, OSError.
    """
    descriptor = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataInUse(directory, what, os.read(descriptor, 20).decode(errors="replace").strip()) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
