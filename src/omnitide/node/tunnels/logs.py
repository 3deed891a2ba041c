"""The output of an instance: sent as fast as the link takes it, which is as fast as somebody reads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from omnitide.drivers.protocol import Driver, DriverError, LogChunk
from omnitide.node.answering import unless_silent
from omnitide.node.closing import closing
from omnitide.node.retention import Retention
from omnitide.node.session import TunnelLink
from omnitide.node.tunnels.errors import error_frame
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

NOTHING_KEPT: Final = "not-found"
"""Cause of a driver's error: it has nothing of the instance."""
DROPPED: Final = "dropped"
"""Reason of the tunnel's end: what there was of an instance is not kept any more."""


async def send_logs(
    link: TunnelLink,
    drivers: Mapping[str, Driver],
    driver_of: Callable[[str], str | None],
    request: pb.LogsRequest,
    retention: Retention,
) -> None:
    """Until they end or the reader leaves, even while none comes. Raises LinkClosed."""
    await send_while_read(link, _frames(drivers, driver_of, request, retention))


async def send_while_read(link: TunnelLink, frames: AsyncIterator[pb.TunnelFrame]) -> None:
    """All frames, as fast as the link takes them, unless the reader leaves before. Raises LinkClosed."""

    async def send() -> None:
        async with closing(frames):
            async for frame in frames:
                await link.send(frame)

    sender = asyncio.create_task(send(), name="tunnel-send")
    reader = asyncio.create_task(_until_closed(link), name="tunnel-read")
    try:
        await asyncio.wait((sender, reader), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sender, reader):
            task.cancel()
        await asyncio.gather(sender, reader, return_exceptions=True)
    if not sender.cancelled():
        sender.result()


async def _frames(
    drivers: Mapping[str, Driver],
    driver_of: Callable[[str], str | None],
    request: pb.LogsRequest,
    retention: Retention,
) -> AsyncIterator[pb.TunnelFrame]:
    """The log of an instance, then the end, or why there is none.

    A driver has nothing of an instance that has not come to be started, which has written nothing; of one that is not
    known here any more, it was dropped.
    """
    driver = driver_of(request.instance)
    names = [driver] if driver is not None and driver in drivers else list(drivers)
    error: DriverError | None = None
    for name in names:
        chunks = drivers[name].logs(
            request.instance,
            tail_lines=request.tail_lines if request.HasField("tail_lines") else None,
            since_ms=request.since_ms,
            after=request.after,
            follow=request.follow,
        )
        try:
            async with closing(chunks):
                chunk = await unless_silent(drivers[name], _next(chunks))
                while chunk is not None:
                    yield _log(chunk)
                    chunk = await _next(chunks)
        except DriverError as failed:
            error = failed
            continue
        yield pb.TunnelFrame(end=True)
        return
    if error is None:
        yield error_frame("no-driver", "this node has no driver")
    elif driver is None:
        # Of those that were asked some may only not work here.
        yield error_frame(DROPPED, f"its node keeps {retention.text}")
    elif driver and error.cause != NOTHING_KEPT:
        yield error_frame(error.cause, str(error))
    else:
        yield pb.TunnelFrame(end=True)


async def _next(chunks: AsyncIterator[LogChunk]) -> LogChunk | None:
    return await anext(chunks, None)


async def _until_closed(link: TunnelLink) -> None:
    with contextlib.suppress(LinkClosed):
        while True:
            await link.receive()


def _log(chunk: LogChunk) -> pb.TunnelFrame:
    return pb.TunnelFrame(
        log=pb.LogData(
            at_ms=chunk.at_ms,
            stream=chunk.stream,
            data=chunk.data,
            attempt=chunk.attempt,
            position=chunk.position,
            gap=chunk.gap,
        )
    )
