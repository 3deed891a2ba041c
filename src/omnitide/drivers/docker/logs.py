"""An instance's output, as the engine keeps it: the files of one container an attempt, in order, with exact positions.

A position is an attempt, the engine's time of an entry (nanoseconds) and how many entries of just that time have been
read: `2:1764101960.012345678:1`. The engine is asked for what is not older, and those are skipped. An engine that tells
whole seconds (Podman) has many entries of one time, and its rotation may take some of them: there a position ends with
a digest of the last entry, and where that is another one now, all of that second is read again behind a gap.
"""

import asyncio
import contextlib
import re
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Final, NamedTuple

import msgspec

from omnitide.drivers.docker.answers import nanoseconds, whole_seconds
from omnitide.drivers.docker.ended import pieces
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.docker.log_files import beginning_lost
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
_POSITION = re.compile(r"(\d{1,10}):(\d{1,12})\.(\d{9}):(\d{1,9})(?::([0-9a-f]{8}))?")


class Place(NamedTuple):
    attempt: int
    at_ns: int
    seen: int
    """Entries of just that time that have been read."""
    last: int = -1
    """CRC-32 of the last of them, where times are whole seconds; else -1."""

    def text(self) -> str:
        digest = f":{self.last:08x}" if self.last >= 0 else ""
        return f"{self.attempt}:{self.at_ns // _SECOND}.{self.at_ns % _SECOND:09d}:{self.seen}{digest}"

    def after(self, entry: "Entry") -> "Place":
        last = zlib.crc32(entry.data) if entry.at_ns % _SECOND == 0 else -1
        return Place(self.attempt, entry.at_ns, self.seen + 1 if entry.at_ns == self.at_ns else 1, last)


class Entry(NamedTuple):
    stream: str
    at_ns: int
    data: bytes


class Kept(NamedTuple):
    """A container whose output the engine has."""

    attempt: int
    container: str
    tty: bool
    path: str = ""
    """Of the engine's file, where it is on this machine."""
    copy: str = ""
    """Path of what was copied of it; then there is no container any more."""
    cut: bool = False
    """The copy lacks the beginning."""


def place_of(text: str) -> Place:
    """Raises DriverError."""
    found = _POSITION.fullmatch(text)
    if found is None:
        message = f"{text!r} is no position in a container's output"
        raise DriverError(message, cause="no-such-position", permanent=True)
    last = int(found[5], 16) if found[5] else -1
    return Place(int(found[1]), int(found[2]) * _SECOND + int(found[3]), int(found[4]), last)


async def bursts(
    engine: Engine, kept: Kept, *, since_ns: int = 0, tail: int | None = None, follow: bool = False
) -> AsyncGenerator[list[Entry]]:
    """Entries as they come, those together that came together. Raises DriverError."""
    if kept.copy:
        async for burst in _copied(kept, since_ns, tail):
            yield burst
        return
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
                yield [clock.entry(stream, raw) for stream, raw in found]
        rest = split.rest()
        if rest:
            yield [clock.entry(stream, raw) for stream, raw in rest]


async def _copied(kept: Kept, since_ns: int, tail: int | None) -> AsyncGenerator[list[Entry]]:
    clock = _Clock()
    split = _Terminal() if kept.tty else _Frames()
    last: deque[Entry] = deque(maxlen=tail)
    async with contextlib.aclosing(pieces(kept.copy)) as found:
        async for piece in found:
            burst = [clock.entry(stream, raw) for stream, raw in split.feed(piece)]
            burst = [entry for entry in burst if entry.at_ns >= since_ns]
            if tail is not None:
                last.extend(burst)
            elif burst:
                yield burst
    last.extend(entry for stream, raw in split.rest() if (entry := clock.entry(stream, raw)).at_ns >= since_ns)
    if last:
        yield list(last)


class _Clock:
    """Reads the engine's times; neighbours share their second. Docker writes them to the nanosecond, Podman also to the
    second alone, or in another zone."""

    def __init__(self) -> None:
        self._text = b""
        self._seconds = 0
        self._stamp = b""
        self._at_ns = 0

    def entry(self, stream: str, raw: bytes) -> Entry:
        if raw[STAMP - 1 : STAMP + 1] == b"Z ":
            if raw[:19] != self._text:
                self._text, self._seconds = raw[:19], whole_seconds(raw[:19].decode("ascii", "replace"))
            return Entry(stream, self._seconds * _SECOND + int(raw[20:29]), raw[STAMP + 1 :])
        stamp, _, data = raw.partition(b" ")
        if stamp != self._stamp:
            self._stamp, self._at_ns = stamp, nanoseconds(stamp.decode("ascii", "replace"))
        return Entry(stream, self._at_ns, data)


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
            return await _exactly(engine, one, first, left) if first.at_ns % _SECOND == 0 else first
        left -= count
    return Place(kept[0].attempt, since, 0)


async def _exactly(engine: Engine, one: Kept, first: Place, left: int) -> Place:
    """The place before the last `left` entries, where many have one time."""
    place = Place(one.attempt, first.at_ns, 0)
    before: deque[Place] = deque([place], maxlen=left + 1)
    async for burst in bursts(engine, one, since_ns=first.at_ns):
        for entry in burst:
            place = place.after(entry)
            before.append(place)
    return before[0]


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
    whole = not after and tail_lines is None and not since_ms
    begun = place.attempt
    while kept:
        for one in [one for one in kept if one.attempt >= place.attempt]:
            if one.attempt != place.attempt:
                place = Place(one.attempt, since_ms * _MS, 0)
            if whole or (one.attempt != begun and not since_ms):
                gap = gap or one.cut or await asyncio.to_thread(beginning_lost, one.path)
            source: Kept | None = one
            while source is not None:
                try:
                    async for chunk in _all_of(engine, source, place, running if follow else None, gap):
                        gap = False
                        place = place_of(chunk.position)
                        yield chunk
                    source = None
                except _ContainerGone:
                    # What it said may have been copied before.
                    source = next((now for now in await listed() if now.attempt == one.attempt and now.copy), None)
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
        while running is not None and not one.copy:
            async for chunk in _read(engine, one, place, follow=True, gap=gap):
                gap, place = False, place_of(chunk.position)
                yield chunk
            if not await running(one):
                break
            await asyncio.sleep(AGAIN_S)
        async for chunk in _read(engine, one, place, follow=False, gap=gap):
            yield chunk
    except EngineRefused as error:
        if error.status != NOT_FOUND:
            raise
        raise _ContainerGone from None


async def _read(engine: Engine, one: Kept, begin: Place, *, follow: bool, gap: bool) -> AsyncGenerator[LogChunk]:
    try:
        async for chunk in _from(engine, one, begin, follow=follow, gap=gap):
            yield chunk
    except _OthersNow:
        async for chunk in _from(engine, one, Place(one.attempt, begin.at_ns, 0), follow=follow, gap=True):
            yield chunk


async def _from(engine: Engine, one: Kept, begin: Place, *, follow: bool, gap: bool) -> AsyncGenerator[LogChunk]:
    skip = begin.seen
    place = begin
    coarse = begin.last >= 0
    async for burst in bursts(engine, one, since_ns=begin.at_ns, follow=follow):
        fresh: list[tuple[Entry, Place]] = []
        for entry in burst:
            if skip:
                if entry.at_ns == begin.at_ns:
                    skip -= 1
                    if not skip and coarse and zlib.crc32(entry.data) != begin.last:
                        raise _OthersNow
                    continue
                if coarse:
                    raise _OthersNow
                gap = gap or skip == begin.seen  # what was read last is not kept any more
                skip = 0
            place = place.after(entry)
            fresh.append((entry, place))
        for chunk in _together(fresh):
            yield msgspec.structs.replace(chunk, gap=True) if gap else chunk
            gap = False
    if skip and coarse:
        raise _OthersNow


class _ContainerGone(Exception):
    """It was removed meanwhile."""


class _OthersNow(Exception):
    """The entries of a position's second are not those that were read."""


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
