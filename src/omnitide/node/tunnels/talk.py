"""One tunnel as those who serve it see it: frames one at a time, data within credit, an end with its reason.

Credit: each side has at most `WINDOW` bytes of data under way that the other has not said it has dealt with. So nothing
between the two ends has to hold more, and what is no data, a signal say, never waits behind data that nobody takes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from omnitide.node.session import TunnelLink
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

WINDOW: Final = 256 << 10
CHUNK: Final = 64 << 10
_TELL: Final = WINDOW // 4
"""Credit is given back in pieces of this size at least."""


class Overrun(Exception):
    """The other side has sent more than it had credit for."""


class Talk:
    """A tunnel that has data in both directions. `listen` has to run for anything to come in."""

    def __init__(self, link: TunnelLink) -> None:
        self._link = link
        self._sending = asyncio.Lock()
        self._credit = WINDOW
        self._more_credit = asyncio.Event()
        self._inbox: deque[bytes] = deque()
        self._held = 0
        self._untold = 0
        self._ended: Exception | bool | None = False
        """False: data may come. True: it has ended. An exception: it never will."""
        self._news = asyncio.Event()

    async def send(self, frame: pb.TunnelFrame) -> None:
        """Raises LinkClosed."""
        async with self._sending:
            await self._link.send(frame)

    async def send_data(self, data: bytes, stream: str = "") -> None:
        """In chunks, as far as there is credit; waits for it. Raises LinkClosed."""
        while data:
            while not self._credit:
                self._more_credit.clear()
                await self._more_credit.wait()
            chunk, data = data[: min(CHUNK, self._credit)], data[min(CHUNK, self._credit) :]
            self._credit -= len(chunk)
            await self.send(pb.TunnelFrame(data=pb.TunnelData(data=chunk, stream=stream)))

    async def listen(self, other: Callable[[pb.TunnelFrame], Awaitable[None]]) -> None:
        """Take what comes, until the link closes; `other` gets what is neither data nor credit. Raises Overrun."""
        try:
            while True:
                frame = await self._link.receive()
                match frame.WhichOneof("body"):
                    case "data":
                        self._put(frame.data.data)
                    case "end_of_data":
                        self._end(True)
                    case "taken":
                        self._credit = min(WINDOW, self._credit + frame.taken)
                        self._more_credit.set()
                    case _:
                        await other(frame)
        except LinkClosed as closed:
            self._end(closed)
        except BaseException:
            self._end(LinkClosed("this side has ended it"))
            raise

    async def incoming(self) -> AsyncIterator[bytes]:
        """The other side's data until its end; what was given out before counts as dealt with. Raises LinkClosed if it
        breaks off."""
        while True:
            while not self._inbox:
                if self._ended is True:
                    return
                if isinstance(self._ended, Exception):
                    raise self._ended
                self._news.clear()
                await self._news.wait()
            data = self._inbox.popleft()
            yield data
            self._held -= len(data)
            self._untold += len(data)
            if self._untold >= _TELL:
                told, self._untold = self._untold, 0
                await self.send(pb.TunnelFrame(taken=told))

    def _put(self, data: bytes) -> None:
        if self._held + len(data) > WINDOW:
            raise Overrun(f"more than {WINDOW} bytes under way")
        self._held += len(data)
        self._inbox.append(data)
        self._news.set()

    def _end(self, how: Exception | bool) -> None:
        if self._ended is False:
            self._ended = how
            self._news.set()


async def ignore(frame: pb.TunnelFrame) -> None:
    """From newer software, or of no meaning here."""
    del frame


async def until_any(*ending: Awaitable[None], beside: Awaitable[None] | None = None) -> None:
    """Run all at once until one of `ending` has ended, or `beside` has failed; the rest is called off. Raises what the
    one raised that ended it."""
    tasks = [asyncio.ensure_future(one) for one in ending]
    extra = asyncio.ensure_future(beside) if beside is not None else None
    everything = [*tasks, *([extra] if extra is not None else [])]
    try:
        waiting = set(everything)
        while True:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if done - {extra}:
                return
    finally:
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
