"""Files of an instance, out and in, as tar streams."""

from collections.abc import AsyncIterator

from omnitide.drivers.protocol import Driver
from omnitide.node.answering import unless_silent
from omnitide.node.closing import closing
from omnitide.node.tunnels.talk import Talk, ignore, until_any
from omnitide.wire import node_pb2 as pb


async def send_archive(talk: Talk, driver: Driver, request: pb.ArchiveRequest) -> None:
    """Begins with the first bytes: what cannot be read at all is refused instead. Raises DriverError, LinkClosed."""

    async def send() -> None:
        pieces = driver.archive(request.instance, request.path)
        async with closing(pieces):
            piece = await unless_silent(driver, _next(pieces))
            if piece is not None:
                await talk.send(pb.TunnelFrame(started=True))
            while piece is not None:
                await talk.send_data(piece)
                piece = await _next(pieces)
        await talk.send(pb.TunnelFrame(end=True))

    await until_any(send(), talk.listen(ignore))


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def take_archive(talk: Talk, driver: Driver, request: pb.ExtractRequest) -> None:
    """Raises DriverError, LinkClosed."""

    async def extract() -> None:
        await talk.send(pb.TunnelFrame(started=True))
        await driver.extract(request.instance, request.path, talk.incoming())
        await talk.send(pb.TunnelFrame(end=True))

    # What breaks off reaches the driver through the data; it is over once the driver is.
    await until_any(extract(), beside=talk.listen(ignore))
