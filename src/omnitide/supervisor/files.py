"""Whether files have changed: for a process that ends because its configuration is wrong."""

import os

EVERY_MS = 1000
"""From one look to the next. Only while a process waits for it."""
MOST_FILES = 16


def signature(files: list[str]) -> list[tuple[int, int, int, int]]:
    """Differs whenever one of them was written, replaced, removed or came to be."""
    return [_signature(file) for file in files]


def _signature(file: str) -> tuple[int, int, int, int]:
    try:
        status = os.stat(file)
    except OSError:
        return (0, 0, 0, 0)
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
