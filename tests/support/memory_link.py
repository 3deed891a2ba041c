"""Links and a dialer in memory, and a Nexus that a test plays by hand."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from support.welcome import welcome

Out = TypeVar("Out")
In = TypeVar("In")


class _Half(Generic[Out]):
    """One direction. A sender waits while `credit` messages are not yet read."""

    def __init__(self, credit: int) -> None:
        self.credit = credit
        self.messages: deque[Out] = deque()
        self.closed: str | None = None
        self.changed = asyncio.Condition()

    async def put(self, message: Out) -> None:
        async with self.changed:
            while len(self.messages) >= self.credit and self.closed is None:
                await self.changed.wait()
            if self.closed is not None:
                raise LinkClosed(self.closed)
            self.messages.append(message)
            self.changed.notify_all()

    async def get(self) -> Out:
        async with self.changed:
            while not self.messages:
                if self.closed is not None:
                    raise LinkClosed(self.closed)
                await self.changed.wait()
            message = self.messages.popleft()
            self.changed.notify_all()
            return message

    async def close(self, reason: str, *, lose: bool = False) -> None:
        async with self.changed:
            if self.closed is None:
                self.closed = reason
                if lose:
                    self.messages.clear()
                self.changed.notify_all()


class MemoryLink(Generic[Out, In]):
    """One end of a link. What was sent before a close still arrives; `cut` loses it."""

    def __init__(self, out: "_Half[Out]", into: "_Half[In]") -> None:
        self._out = out
        self._into = into

    async def send(self, message: Out) -> None:
        await self._out.put(message)

    async def receive(self) -> In:
        return await self._into.get()

    async def close(self) -> None:
        await self._out.close("the other side closed the link")
        await self._into.close("closed here")

    async def cut(self) -> None:
        for half in (self._out, self._into):
            await half.close("the link broke", lose=True)

    @property
    def unread(self) -> int:
        """Messages sent from here that the other side has not taken."""
        return len(self._out.messages)


def link_pair(credit: int = 1000) -> "tuple[MemoryLink[Out, In], MemoryLink[In, Out]]":
    first: _Half[Out] = _Half(credit)
    second: _Half[In] = _Half(credit)
    return MemoryLink(first, second), MemoryLink(second, first)


NexusEnd = MemoryLink[pb.NexusMessage, pb.NodeMessage]
TunnelEnd = MemoryLink[pb.TunnelFrame, pb.TunnelFrame]


class HandNexus:
    """What a node dials. Each dial waits in `arrivals` for the test to take it with `accept`."""

    def __init__(self) -> None:
        self.dialled: list[tuple[float, str]] = []
        self.down: set[str] = set()
        """Endpoints that refuse connections; "*" is all."""
        self.tunnel_credit = 1000
        self._arrivals: asyncio.Queue[NexusEnd] = asyncio.Queue()
        self._tunnels: asyncio.Queue[TunnelEnd] = asyncio.Queue()

    async def dial(self, endpoint: str) -> "MemoryLink[pb.NodeMessage, pb.NexusMessage]":
        self.dialled.append((asyncio.get_running_loop().time(), endpoint))
        self._check(endpoint)
        near: MemoryLink[pb.NodeMessage, pb.NexusMessage]
        near, far = link_pair()
        self._arrivals.put_nowait(far)
        return near

    async def open_tunnel(self, endpoint: str) -> TunnelEnd:
        self._check(endpoint)
        near: TunnelEnd
        near, far = link_pair(self.tunnel_credit)
        self._tunnels.put_nowait(far)
        return near

    async def accept(self, seconds: float = 60.0) -> NexusEnd:
        """The next dial. Raises TimeoutError."""
        return await asyncio.wait_for(self._arrivals.get(), seconds)

    async def accept_tunnel(self, seconds: float = 60.0) -> TunnelEnd:
        return await asyncio.wait_for(self._tunnels.get(), seconds)

    async def welcomed(self, acknowledged: int = 0, session: int = 0, **settings: int) -> "tuple[NexusEnd, pb.Hello]":
        """The next dial, its hello taken and answered with a welcome."""
        link = await self.accept()
        return link, await welcome(link, acknowledged, session, **settings)

    def _check(self, endpoint: str) -> None:
        if "*" in self.down or endpoint in self.down:
            raise LinkClosed(f"{endpoint} refuses connections")
