"""The files that keep a run's output: frames of binary, so that bytes, times and order stay exact.

A file `log-<sequence>` is a row of frames; a frame is a header and 1 to 65,536 bytes of output:

    u16 magic   u8 version   u8 stream (1 stdout, 2 stderr)   u32 length   u64 wall clock ms   u32 attempt

All little-endian. A crash may leave a cut frame, or zeros, at the end of a file: a reader stops there.
"""

import os
import re
import struct
from typing import NamedTuple

STDOUT = 1
STDERR = 2
STREAMS = {STDOUT: "stdout", STDERR: "stderr"}

HEADER = struct.Struct("<HBBIQI")
MAX_PAYLOAD = 64 << 10
_MAGIC = 0x4F54
_VERSION = 1
PREFIX = "log-"


class Frame(NamedTuple):
    """A piece of output."""

    at_ms: int
    stream: int
    attempt: int
    data: bytes


class Place(NamedTuple):
    """Between two bytes of an instance's output, for as long as the file is kept. Before the first: (0, 0, 0)."""

    sequence: int
    offset: int
    """Where a frame begins in that file."""
    skip: int = 0
    """Bytes of the frame's payload that lie before."""

    def text(self) -> str:
        """`3-4096`: opaque to whoever keeps it."""
        return f"{self.sequence}-{self.offset}" + (f"-{self.skip}" if self.skip else "")


_PLACE = re.compile(r"(\d{1,9})-(\d{1,18})(?:-(\d{1,5}))?", re.ASCII)


def place_of(text: str) -> Place:
    """Raises ValueError for what `Place.text` has not made."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is no place in a log")
    return Place(int(found[1]), int(found[2]), int(found[3] or 0))


def header(stream: int, length: int, at_ms: int, attempt: int) -> bytes:
    return HEADER.pack(_MAGIC, _VERSION, stream, length, at_ms, attempt)


def file_name(sequence: int) -> str:
    return f"{PREFIX}{sequence:08d}"


def sequences(directory: str) -> list[int]:
    """Sequence numbers of an instance's log files, oldest first. Raises OSError."""
    found: list[int] = []
    for name in os.listdir(directory):
        digits = name[len(PREFIX) :]
        if name.startswith(PREFIX) and digits.isascii() and digits.isdigit():
            found.append(int(digits))
    return sorted(found)


def parse(buffer: bytes | bytearray | memoryview, start: int = 0) -> tuple[list[Frame], int]:
    """Whole frames from `start`, and where the first one that is not whole (or not a frame) begins."""
    frames: list[Frame] = []
    size = len(buffer)
    while start + HEADER.size <= size:
        magic, version, stream, length, at_ms, attempt = HEADER.unpack_from(buffer, start)
        if magic != _MAGIC or version != _VERSION or not 0 < length <= MAX_PAYLOAD:
            break
        begin = start + HEADER.size
        if begin + length > size:
            break
        frames.append(Frame(at_ms, stream, attempt, bytes(buffer[begin : begin + length])))
        start = begin + length
    return frames, start
