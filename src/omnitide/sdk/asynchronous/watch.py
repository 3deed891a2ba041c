"""A watch: the stream of events over a WebSocket. What it means is in `omnitide.sdk.feed`."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

from omnitide.model import happenings as hp
from omnitide.sdk.defaults import CONNECT_S
from omnitide.sdk.errors import from_answer
from omnitide.sdk.exchange import tls_hint
from omnitide.sdk.feed import MAX_FRAME, SUBPROTOCOL, Feed
from omnitide.sdk.target import Target


class AsyncEventWatch:
    """An iterator of events that holds a connection. Close it, or use it as a context manager."""

    def __init__(
        self, target: Target, context: ssl.SSLContext | None, feed: Feed, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        from websockets.asyncio import client as websockets

        self._module = websockets
        self._target = target
        self._context = context
        self._feed = feed
        self._sleep = sleep
        self._socket: websockets.ClientConnection | None = None
        self._closed = False

    @property
    def revision(self) -> int:
        """The newest revision that was seen."""
        return self._feed.revision

    @property
    def lagged(self) -> int:
        """How often this watcher was too slow and had to resume. Nothing was missed by it."""
        return self._feed.lagged

    async def close(self) -> None:
        """The iteration then ends."""
        self._closed = True
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[hp.CloudEvent]:
        async for batch in self.batches():
            for event in batch:
                yield event

    async def open(self) -> Self:
        """Connect now, so that nothing that happens from here on is missed."""
        while not self._closed and self._socket is None:
            await self._connect()
        return self

    async def batches(self) -> AsyncIterator[list[hp.CloudEvent]]:
        """As they come, several at a time; an empty batch says that Nexus was heard from."""
        from websockets.exceptions import ConnectionClosed

        try:
            while not self._closed:
                socket = self._socket
                if socket is None:
                    await self._connect()
                    continue
                try:
                    frame = await socket.recv()
                except ConnectionClosed as gone:
                    self._socket = None
                    if self._closed:
                        return
                    received = gone.rcvd
                    if received is None:
                        await self._sleep(self._feed.broke(self._target.url, "the connection broke"))
                    else:
                        await self._sleep(self._feed.closed(received.code, received.reason))
                    continue
                yield self._feed.take(frame)
        finally:
            await self.close()

    async def _connect(self) -> None:
        """Raises FabricError where trying again is of no use."""
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.typing import Subprotocol

        url = self._target.url
        try:
            self._socket = await self._module.connect(
                self._feed.address(url),
                ssl=self._context,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={"authorization": f"Bearer {self._target.token}"} if self._target.token else {},
                compression=None,
                proxy=None if self._target.local else True,
                open_timeout=CONNECT_S,
                close_timeout=1.0,
                max_size=MAX_FRAME,
                max_queue=16,
            )
        except InvalidStatus as refused:
            error = from_answer(refused.response.status_code, bytes(refused.response.body or b""))
            await self._sleep(self._feed.refused(error))
        except (OSError, TimeoutError, InvalidHandshake) as error:
            hint = tls_hint(str(error))
            wait = self._feed.broke(url, str(error) or type(error).__name__, hint)
            await self._sleep(wait)
