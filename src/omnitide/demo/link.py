"""A connection that can be cut, as one over the air is: a dialer between the session and the real one."""

import asyncio
from typing import Generic, TypeVar

from omnitide.node.grpc_link import ClientLink, GrpcDialer
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link, LinkClosed

Sent = TypeVar("Sent")
Received = TypeVar("Received")
CUT = "the link is down"


class WeakLinkDialer:
    """A `session.Dialer` and a `SampleDialer` over the real one. While it is cut, what was dialled ends and nothing can
    be."""

    def __init__(self, dialer: GrpcDialer) -> None:
        self._dialer = dialer
        self._back_at = 0.0
        self._links: set[_Breaks] = set()

    def cut(self, seconds: float) -> None:
        self._back_at = max(self._back_at, asyncio.get_running_loop().time() + seconds)
        for link in self._links:
            link.break_off()
        self._links.clear()

    async def dial(self, endpoint: str) -> Link[pb.NodeMessage, pb.NexusMessage]:
        self._check()
        return self._kept(await self._dialer.dial(endpoint))

    async def open_tunnel(self, endpoint: str) -> Link[pb.TunnelFrame, pb.TunnelFrame]:
        self._check()
        return self._kept(await self._dialer.open_tunnel(endpoint))

    async def open_samples(self, endpoint: str) -> Link[pb.SampleBatch, pb.SampleWish]:
        self._check()
        return self._kept(await self._dialer.open_samples(endpoint))

    def _check(self) -> None:
        if asyncio.get_running_loop().time() < self._back_at:
            raise LinkClosed(CUT)

    def _kept(self, link: ClientLink[Sent, Received]) -> "WeakLink[Sent, Received]":
        weak = WeakLink(link, self._links)
        self._links.add(weak)
        return weak


class _Breaks:
    def __init__(self) -> None:
        self.broken = False
        self._reading: asyncio.Task[object] | None = None

    def break_off(self) -> None:
        self.broken = True
        if self._reading is not None:
            self._reading.cancel()


class WeakLink(_Breaks, Generic[Sent, Received]):
    def __init__(self, link: ClientLink[Sent, Received], links: set[_Breaks]) -> None:
        super().__init__()
        self._link = link
        self._links = links

    async def send(self, message: Sent) -> None:
        if self.broken:
            raise LinkClosed(CUT)
        await self._link.send(message)

    async def receive(self) -> Received:
        if self.broken:
            raise LinkClosed(CUT)
        # The reader's own task is woken when the link breaks: one more for each message would cost more than it gives.
        self._reading = asyncio.current_task()
        try:
            return await self._link.receive()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.broken or task is None:
                raise
            task.uncancel()
            if task.cancelling():
                raise
            raise LinkClosed(CUT) from None
        finally:
            self._reading = None

    async def close(self) -> None:
        self._links.discard(self)
        if not self.broken:
            await self._link.close()
            return
        # What is cut says no goodbye.
        closing = asyncio.ensure_future(self._link.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
