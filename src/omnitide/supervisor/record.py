"""The record of what is kept, written so that a full disk does not make it lie."""

import os

from omnitide.supervisor.places import Places

BLOCK = 4096
"""A record fills whole blocks: the next one then fits where the last one is, when there is no room for another file."""


def write(places: Places, text: str) -> None:
    """In one step; on a full disk in place of the last one, which is not one step but needs no room. Raises OSError."""
    data = text.encode()
    data += b" " * (-len(data) % BLOCK)
    beside = f"{places.record}.next"
    try:
        _put(beside, data, os.O_CREAT | os.O_TRUNC)
        os.replace(beside, places.record)
    except OSError:
        _drop(beside)
        room = _size(places.record)
        if len(data) > room:
            raise
        _put(places.record, data + b" " * (room - len(data)), 0)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _put(path: str, data: bytes, flags: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
    try:
        written = os.write(file, data)
        if written < len(data):
            # What does not fit is found out by asking for the rest.
            os.write(file, data[written:])
    finally:
        os.close(file)


def _drop(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
