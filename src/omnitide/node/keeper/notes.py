"""The keeper's own log: few lines, to standard error, bounded when that is a file."""

import os
import stat
import time

_MAX_BYTES = 1 << 20
_AGAIN_S = 300.0
_MOST_REMEMBERED = 64

_said: dict[str, float] = {}
"""What was written lately, and when."""


def note(text: str) -> None:
    """Write a line with the time before it, the same not again within five minutes: what is tried anew each second may
    fail for days. Never raises: nothing depends on it."""
    now = time.monotonic()
    if now - _said.get(text, -_AGAIN_S) < _AGAIN_S:
        return
    if len(_said) >= _MOST_REMEMBERED:
        _said.clear()
    _said[text] = now
    try:
        status = os.fstat(2)
        if stat.S_ISREG(status.st_mode) and status.st_size > _MAX_BYTES:
            os.ftruncate(2, 0)  # opened for appending: the next line is the first
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.write(2, f"{moment} {text}\n".encode(errors="replace"))
    except OSError:
        pass
