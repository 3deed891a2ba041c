"""Reads an instance's kept output, and what comes: the files directly, the keeper only to be told of news."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import msgspec

from omnitide.drivers.protocol import DriverError, LogChunk
from omnitide.node.keeper.log_format import STREAMS, place_of
from omnitide.node.keeper.log_reader import LogReader
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import Refused


class LogState(msgspec.Struct, frozen=True):
    """Where an instance's log ends, and whether more can come."""

    live: bool
    sequence: int
    position: int


class Beginning(NamedTuple):
    """Where to begin: the last lines, and of them what is not older; or where an earlier reader stopped."""

    tail_lines: int | None = None
    since_ms: int = 0
    after: str = ""


def _open(directory: str, instance: str, begin: Beginning) -> LogReader:
    """Raises DriverError for an instance or a place that is not there."""
    try:
        paths = Paths(directory)
        logs, work = paths.logs_of(instance), paths.work_of(instance)
    except Refused as error:
        raise DriverError(str(error), cause=error.cause, permanent=error.permanent) from None
    if not os.path.isdir(logs) and not os.path.isdir(work):
        raise DriverError(f"no instance {instance} is kept on this node", cause="not-found", permanent=True)
    reader = LogReader(logs)
    if begin.after:
        try:
            reader.go_to(place_of(begin.after))
        except ValueError as error:
            reader.close()
            raise DriverError(f"the log of {instance}: {error}", cause="no-such-position", permanent=True) from None
    elif begin.tail_lines is not None:
        reader.skip_to_tail(begin.tail_lines)
    return reader


def _read(reader: LogReader) -> list[LogChunk]:
    frames = reader.read()
    gap = reader.gap
    chunks: list[LogChunk] = []
    for frame, end in zip(frames, reader.ends(frames), strict=True):
        stream = STREAMS.get(frame.stream, str(frame.stream))
        chunks.append(LogChunk(frame.at_ms, stream, frame.data, frame.attempt, end.text(), gap))
        gap = False
    return chunks


def _read_since(reader: LogReader, since_ms: int) -> tuple[str, list[LogChunk]]:
    """The place where output that is not older begins, and the first of it."""
    place = reader.place().text()
    while chunks := _read(reader):
        for index, chunk in enumerate(chunks):
            if chunk.at_ms >= since_ms:
                return place, chunks[index:]
            place = chunk.position
    return place, []


async def read_logs(
    directory: str,
    instance: str,
    begin: Beginning,
    *,
    wait: Callable[[LogState], Awaitable[LogState]] | None,
) -> AsyncIterator[LogChunk]:
    """Kept output, oldest first; then what `wait` announces, until it says that nothing can come any more.

    `wait` returns once the log's end is another than in the state that it is given, or no run is live. Files are read
    in a thread: a disk may be slow. Raises DriverError.
    """
    reader = await asyncio.to_thread(_open, directory, instance, begin)
    # What `wait` says of the end is given back to it as it is; the reader's own place may differ after a crash.
    state = LogState(live=True, sequence=0, position=0)
    try:
        place, chunks = await asyncio.to_thread(_read_since, reader, 0 if begin.after else begin.since_ms)
        if wait is not None:
            yield LogChunk(0, "stdout", b"", 0, place)
        while True:
            while chunks:
                for chunk in chunks:
                    yield chunk
                chunks = await asyncio.to_thread(_read, reader)
            if wait is None or not state.live:
                return
            state = await wait(state)
            chunks = await asyncio.to_thread(_read, reader)
    finally:
        reader.close()
