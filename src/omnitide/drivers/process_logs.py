"""Reads an instance's kept output, and what comes: the files directly, the keeper only to be told of news."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from omnitide.drivers.protocol import DriverError, LogChunk
from omnitide.node.keeper.log_format import STREAMS, Frame
from omnitide.node.keeper.log_reader import LogReader
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.protocol import Refused


class LogState(msgspec.Struct, frozen=True):
    """Where an instance's log ends, and whether more can come."""

    live: bool
    sequence: int
    position: int


def _open(directory: str, instance: str, tail_lines: int | None) -> LogReader:
    """Raises DriverError for an instance that is not there."""
    try:
        paths = Paths(directory)
        logs, work = paths.logs_of(instance), paths.work_of(instance)
    except Refused as error:
        raise DriverError(str(error), cause=error.cause, permanent=error.permanent) from None
    if not os.path.isdir(logs) and not os.path.isdir(work):
        raise DriverError(f"no instance {instance} is kept on this node", cause="not-found", permanent=True)
    reader = LogReader(logs)
    if tail_lines is not None:
        reader.skip_to_tail(tail_lines)
    return reader


def _chunk(frame: Frame) -> LogChunk:
    return LogChunk(frame.at_ms, STREAMS.get(frame.stream, str(frame.stream)), frame.data, frame.attempt)


async def read_logs(
    directory: str,
    instance: str,
    *,
    tail_lines: int | None,
    since_ms: int,
    wait: Callable[[LogState], Awaitable[LogState]] | None,
) -> AsyncIterator[LogChunk]:
    """Kept output, oldest first; then what `wait` announces, until it says that nothing can come any more.

    `wait` returns once the log's end is another than in the state that it is given, or no run is live. Files are read
    in a thread: a disk may be slow. Raises DriverError.
    """
    reader = await asyncio.to_thread(_open, directory, instance, tail_lines)
    # What `wait` says of the end is given back to it as it is; the reader's own place may differ after a crash.
    state = LogState(live=True, sequence=0, position=0)
    try:
        while True:
            while frames := await asyncio.to_thread(reader.read):
                for frame in frames:
                    if frame.at_ms >= since_ms:
                        yield _chunk(frame)
            if wait is None or not state.live:
                return
            state = await wait(state)
    finally:
        reader.close()
