"""Streams that Nexus asks for: each is opened by the node, has flow control of its own, and disturbs nothing else."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Final

from omnitide.drivers.protocol import Driver, DriverError, LogChunk
from omnitide.node.closing import closing
from omnitide.node.session import Dialer, TunnelLink
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

MAX_TUNNELS: Final = 32
"""Open at once; a further one is told that the node is busy."""
MAX_REFUSALS: Final = 32
"""Told so at once; beyond that Nexus hears nothing and its own deadline ends the wait."""
DIAL_DEADLINE: Final = 10.0
CLOSE_DEADLINE: Final = 10.0
"""Until a reader has taken what is still under way to it."""

log = logs.get(__name__)


class Tunnels:
    """The open tunnels of a node. They live on when the session breaks, as long as their own links do."""

    def __init__(
        self,
        *,
        group: asyncio.TaskGroup,
        dialer: Dialer,
        drivers: Mapping[str, Driver],
        driver_of: Callable[[str], str | None],
    ) -> None:
        self._group = group
        self._dialer = dialer
        self._drivers = drivers
        self._driver_of = driver_of
        self._serving = self._refusing = 0

    def open(self, endpoint: str, request: pb.OpenTunnel) -> None:
        """Serve a tunnel in a task of its own."""
        if self._serving < MAX_TUNNELS:
            self._serving += 1
            self._group.create_task(self._serve(endpoint, request), name="tunnel")
        elif self._refusing < MAX_REFUSALS:
            self._refusing += 1
            self._group.create_task(self._refuse(endpoint, request), name="tunnel-refusal")
        else:
            log.warning("too many tunnels asked for at once; one is not answered")

    async def _serve(self, endpoint: str, request: pb.OpenTunnel) -> None:
        try:
            with contextlib.suppress(LinkClosed, TimeoutError):
                async with self._link(endpoint, request.tunnel) as link:
                    if request.WhichOneof("purpose") == "logs":
                        await self._send_while_read(link, self._logs(request.logs))
                    else:
                        await link.send(_error("unsupported", "this node's software does not know this purpose"))
        finally:
            self._serving -= 1

    async def _refuse(self, endpoint: str, request: pb.OpenTunnel) -> None:
        try:
            with contextlib.suppress(LinkClosed, TimeoutError):
                async with self._link(endpoint, request.tunnel) as link:
                    await link.send(_error("busy", f"this node has {MAX_TUNNELS} tunnels open; close one first"))
        finally:
            self._refusing -= 1

    @contextlib.asynccontextmanager
    async def _link(self, endpoint: str, tunnel: str) -> AsyncGenerator[TunnelLink]:
        """A link whose first frame names the tunnel."""
        try:
            async with asyncio.timeout(DIAL_DEADLINE):
                link = await self._dialer.open_tunnel(endpoint)
        except (LinkClosed, TimeoutError) as error:
            log.warning("a tunnel could not be opened", endpoint=endpoint, error=str(error) or "no answer in time")
            raise
        try:
            await link.send(pb.TunnelFrame(tunnel=tunnel))
            yield link
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_DEADLINE):
                    await link.close()

    async def _send_while_read(self, link: TunnelLink, frames: AsyncIterator[pb.TunnelFrame]) -> None:
        """Send frames as fast as the link takes them, until they end or the reader leaves, even while none comes."""

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

    async def _logs(self, request: pb.LogsRequest) -> AsyncIterator[pb.TunnelFrame]:
        """The log of an instance, then the end, or why there is none."""
        driver = self._driver_of(request.instance)
        names = [driver] if driver is not None and driver in self._drivers else list(self._drivers)
        error: DriverError | None = None
        for name in names:
            chunks = self._drivers[name].logs(
                request.instance,
                tail_lines=request.tail_lines if request.HasField("tail_lines") else None,
                since_ms=request.since_ms,
                after=request.after,
                follow=request.follow,
            )
            try:
                async with closing(chunks):
                    async for chunk in chunks:
                        yield _log(chunk)
            except DriverError as failed:
                error = failed
                continue
            yield pb.TunnelFrame(end=True)
            return
        yield _error(error.cause, str(error)) if error is not None else _error("no-driver", "this node has no driver")


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


def _error(reason: str, message: str) -> pb.TunnelFrame:
    return pb.TunnelFrame(error=pb.TunnelError(reason=reason, message=message))
