"""One proxy on one data directory."""

import fcntl
import os
from pathlib import Path
from typing import IO


class Locked(Exception):
    """Another node proxy uses the directory."""

    def __init__(self, path: Path, holder: str) -> None:
        who = f"the node proxy with process id {holder}" if holder else "another node proxy"
        super().__init__(f"{path.parent} is in use by {who}; stop it first, or give another --data")
        self.holder = holder


def lock_directory(directory: Path) -> IO[str]:
    """Take the lock of a data directory, held until the file is closed or the process ends, however it ends.

    Raises Locked, OSError.
    """
    path = directory / "node.lock"
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = file.read(20).strip()
        file.close()
        raise Locked(path, holder) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
