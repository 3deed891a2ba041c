"""An instance's output, as the engine keeps it: the files of one container an attempt, in order, with exact positions.

A position is an attempt, the engine's time of an entry (nanoseconds) and how many entries of just that time have been
read: `2:1764101960.012345678:1`. The engine is asked for what is not older, and those are skipped.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Final, NamedTuple

import msgspec

from omnitide.drivers.docker.answers import whole_seconds
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.protocol import DriverError, LogChunk

STREAMS: Final = {0: "stdout", 1: "stdout", 2: "stderr"}
HEADER: Final = 8
STAMP: Final = 30
"""`2026-11-25T20:01:40.030155829Z`"""
MAX_ENTRY: Final = 16 << 10
"""The engine cuts longer lines."""
MAX_CHUNK: Final = 64 << 10
NOT_FOUND: Final = 404
AGAIN_S: Final = 0.2
"""Before a stream that ended too early is begun again."""
_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000
_POSITION = re.compile(r"(\d{1,10}):(\d{1,12})\.(\d{9}):(\d{1,9})")


class Place(NamedTuple):
    attempt: int
    at_ns: int
    seen: int
    """Entries of just that time that have been read."""

    def text(self) -> str:
        return f"{self.attempt}:{self.at_ns // _SECOND}.{self.at_ns % _SECOND:09d}:{self.seen}"


class Entry(NamedTuple):
    stream: str
    at_ns: int
    data: bytes


class Kept(NamedTuple):
    """A container whose output the engine has."""

    attempt: int
    container: str
    tty: bool


def place_of(text: str) -> Place:
    """Raises DriverError."""
    found = _POSITION.fullmatch(text)
    if found is None:
        message = f"{text!r} is no position in a container's output"
        raise DriverError(message, cause="no-such-position", permanent=True)
    return Place(int(found[1]), int(found[2]) * _SECOND + int(found[3]), int(found[4]))


async def bursts(
    engine: Engine, kept: Kept, *, since_ns: int = 0, tail: int | None = None, follow: bool = False
) -> AsyncGenerator[list[Entry]]:
    """Entries as they come, those together that came together. Raises DriverError."""
    params = {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "follow": "1" if follow else "0",
        "tail": "all" if tail is None else str(tail),
    }
    if since_ns:
        params["since"] = f"{since_ns // _SECOND}.{since_ns % _SECOND:09d}"
    clock = _Clock()
    split = _Terminal() if kept.tty else _Frames()
    async with engine.stream("GET", f"containers/{kept.container}/logs", params=params) as answer:
        async for piece in answer.iter_any():
            found = split.feed(piece)
            if found:
                yield [Entry(stream, clock.read(raw), raw[STAMP + 1 :]) for stream, raw in found]
        rest = split.rest()
        if rest:
            yield [Entry(stream, clock.read(raw), raw[STAMP + 1 :]) for stream, raw in rest]


class _Clock:
    """Reads the engine's times; neighbours share their second."""

    def __init__(self) -> None:
        self._text = b""
        self._seconds = 0

    def read(self, stamp: bytes) -> int:
        if stamp[:19] != self._text:
            self._text, self._seconds = stamp[:19], whole_seconds(stamp[:19].decode("ascii", "replace"))
        return self._seconds * _SECOND + int(stamp[20:29])


class _Frames:
    """What the engine sends for a container without a terminal: stream, size, entry."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        held = self._held + piece
        found: list[tuple[str, bytes]] = []
        at = 0
        while len(held) - at >= HEADER:
            end = at + HEADER + int.from_bytes(held[at + 4 : at + HEADER], "big")
            if len(held) < end:
                break
            found.append((STREAMS.get(held[at], "stdout"), held[at + HEADER : end]))
            at = end
        self._held = held[at:]
        return found

    def rest(self) -> list[tuple[str, bytes]]:
        return []


class _Terminal:
    """With one: entries without a frame, each a time and then a line, or MAX_ENTRY bytes of a longer one."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        held = self._held + piece
        found: list[tuple[str, bytes]] = []
        at = 0
        while True:
            most = at + STAMP + 1 + MAX_ENTRY
            end = held.find(b"\n", at, most) + 1 or (most if len(held) >= most else 0)
            if not end:
                break
            found.append(("stdout", held[at:end]))
            at = end
        self._held = held[at:]
        return found

    def rest(self) -> list[tuple[str, bytes]]:
        held, self._held = self._held, b""
        return [("stdout", held)] if len(held) > STAMP else []


async def beginning(engine: Engine, kept: Sequence[Kept], tail_lines: int | None, since_ms: int) -> Place:
    """Where to begin to read: at the first output that is not older, or so many entries before the end."""
    if not kept:
        return Place(0, 0, 0)
    since = since_ms * _MS
    if tail_lines is None:
        return Place(kept[0].attempt, since, 0)
    left = tail_lines
    for one in reversed(kept):
        first: Place | None = None
        count = 0
        async for burst in bursts(engine, one, since_ns=since, tail=max(left, 1)):
            count += len(burst)
            if first is None:
                first = Place(one.attempt, burst[0].at_ns, 0 if left else 1)
        if first is None and tail_lines == 0:
            return Place(one.attempt, since, 0)
        if first is not None and count >= left:
            return first
        left -= count
    return Place(kept[0].attempt, since, 0)


async def read_logs(
    engine: Engine,
    listed: Callable[[], Awaitable[Sequence[Kept]]],
    *,
    tail_lines: int | None,
    since_ms: int,
    after: str,
    follow: bool,
    running: Callable[[Kept], Awaitable[bool]],
) -> AsyncIterator[LogChunk]:
    """`listed` gives the containers, the first attempt first. Raises DriverError."""
    kept = await listed()
    place = place_of(after) if after else await beginning(engine, kept, tail_lines, since_ms)
    if follow:
        yield LogChunk(0, "stdout", b"", 0, place.text())
    gap = bool(after and kept) and place.attempt < kept[0].attempt
    while kept:
        for one in [one for one in kept if one.attempt >= place.attempt]:
            if one.attempt != place.attempt:
                place = Place(one.attempt, since_ms * _MS, 0)
            async for chunk in _all_of(engine, one, place, running if follow else None, gap):
                gap = False
                place = place_of(chunk.position)
                yield chunk
        if not follow:
            return
        last = kept[-1].attempt
        kept = [one for one in await listed() if one.attempt > last]


async def _all_of(
    engine: Engine, one: Kept, place: Place, running: Callable[[Kept], Awaitable[bool]] | None, gap: bool
) -> AsyncGenerator[LogChunk]:
    """One container's output. With `running` it is followed until the container has ended and all is read: an engine
    also ends a stream whose reader its rotation of files has overtaken, and goes on writing."""
    try:
        while running is not None:
            async for chunk in _read(engine, one, place, follow=True, gap=gap):
                gap, place = False, place_of(chunk.position)
                yield chunk
            if not await running(one):
                break
            await asyncio.sleep(AGAIN_S)
        async for chunk in _read(engine, one, place, follow=False, gap=gap):
            yield chunk
    except EngineRefused as error:
        if error.status != NOT_FOUND:  # removed meanwhile
            raise


async def _read(engine: Engine, one: Kept, begin: Place, *, follow: bool, gap: bool) -> AsyncGenerator[LogChunk]:
    skip = begin.seen
    place = begin
    async for burst in bursts(engine, one, since_ns=begin.at_ns, follow=follow):
        fresh: list[tuple[Entry, Place]] = []
        for entry in burst:
            if skip:
                if entry.at_ns == begin.at_ns:
                    skip -= 1
                    continue
                gap = gap or skip == begin.seen  # what was read last is not kept any more
                skip = 0
            place = Place(one.attempt, entry.at_ns, place.seen + 1 if entry.at_ns == place.at_ns else 1)
            fresh.append((entry, place))
        for chunk in _together(fresh):
            yield msgspec.structs.replace(chunk, gap=True) if gap else chunk
            gap = False


def _together(fresh: Sequence[tuple[Entry, Place]]) -> Generator[LogChunk]:
    """Neighbours of one stream and millisecond as one chunk, up to MAX_CHUNK."""
    data: list[bytes] = []
    size = 0
    for index, (entry, place) in enumerate(fresh):
        data.append(entry.data)
        size += len(entry.data)
        after = fresh[index + 1][0] if index + 1 < len(fresh) else None
        same = after is not None and (after.stream, after.at_ns // _MS) == (entry.stream, entry.at_ns // _MS)
        if after is None or not same or size + len(after.data) > MAX_CHUNK:
            yield LogChunk(entry.at_ns // _MS, entry.stream, b"".join(data), place.attempt, place.text())
            data, size = [], 0
