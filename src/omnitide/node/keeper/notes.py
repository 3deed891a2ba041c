"""The keeper's own log: few lines, to standard error, bounded when that is a file."""

import os
import stat
import time

_MAX_BYTES = 1 << 20


def note(text: str) -> None:
    """Write a line with the time before it. Never raises: nothing depends on it."""
    try:
        status = os.fstat(2)
        if stat.S_ISREG(status.st_mode) and status.st_size > _MAX_BYTES:
            os.ftruncate(2, 0)  # opened for appending: the next line is the first
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.write(2, f"{moment} {text}\n".encode(errors="replace"))
    except OSError:
        pass
