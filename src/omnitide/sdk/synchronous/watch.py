# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.watch`; change that.
"""Watches: streams of Nexus over WebSockets. What they mean is in `omnitide.sdk.feed` and `omnitide.sdk.view_feed`."""

import ssl
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

from omnitide.model import happenings as hp
from omnitide.sdk.defaults import CONNECT_S
from omnitide.sdk.errors import FabricError, from_answer
from omnitide.sdk.exchange import tls_hint
from omnitide.sdk.feed import MAX_FRAME, SUBPROTOCOL, Feed
from omnitide.sdk.target import Target
from omnitide.sdk.view import Changes, View
from omnitide.sdk.view_feed import ViewFeed

Taken = TypeVar("Taken")
Taken_co = TypeVar("Taken_co", covariant=True)

VIEW_PING_S: Final = 6.0
"""Beats of the view come every 2 s: a Nexus that is gone without a word is noticed when two or three are missed."""


class Streamed(Protocol[Taken_co]):
    """What a stream means, without I/O."""

    def address(self, url: str) -> str: ...
    def begin(self) -> None: ...
    def take(self, frame: str | bytes) -> Taken_co: ...
    def closed(self, code: int, reason: str) -> float: ...
    def broke(self, url: str, reason: str, hint: str = "") -> float: ...
    def refused(self, error: FabricError) -> float: ...


class Watch(Generic[Taken]):
    """A stream that holds a connection, over breaks and restarts of Nexus. Close it, or use it as a context manager."""

    def __init__(
        self,
        target: Target,
        context: ssl.SSLContext | None,
        feed: Streamed[Taken],
        sleep: Callable[[float], None],
        ping_s: float = 20.0,
    ) -> None:
        """`ping_s`: Nexus is asked for a sign this often; one that gives none for as long again is gone."""
        from websockets.sync import client as websockets

        self._module = websockets
        self._target = target
        self._context = context
        self._stream = feed
        self._sleep = sleep
        self._ping_s = ping_s
        self._socket: websockets.ClientConnection | None = None
        self._closed = False

    def close(self) -> None:
        """Also from another thread: the iteration then ends."""
        self._closed = True
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Connect now, so that nothing that happens from here on is missed."""
        while not self._closed and self._socket is None:
            self._connect()
        return self

    def taken(self) -> Iterator[Taken]:
        """What each message means, as they come."""
        from websockets.exceptions import ConnectionClosed

        try:
            while not self._closed:
                socket = self._socket
                if socket is None:
                    self._connect()
                    continue
                try:
                    frame = socket.recv()
                except ConnectionClosed as gone:
                    self._socket = None
                    if self._closed:
                        return
                    received = gone.rcvd
                    if received is None:
                        self._sleep(self._stream.broke(self._target.url, "the connection broke"))
                    else:
                        self._sleep(self._stream.closed(received.code, received.reason))
                    continue
                yield self._stream.take(frame)
        finally:
            self.close()

    def _connect(self) -> None:
        """Raises FabricError where trying again is of no use."""
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.typing import Subprotocol

        url = self._target.url
        try:
            self._socket = self._module.connect(
                self._stream.address(url),
                ssl=self._context,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={"authorization": f"Bearer {self._target.token}"} if self._target.token else {},
                compression=None,
                proxy=None if self._target.local else True,
                open_timeout=CONNECT_S,
                close_timeout=1.0,
                max_size=MAX_FRAME,
                max_queue=16,
                ping_interval=self._ping_s,
                ping_timeout=self._ping_s,
            )
            self._stream.begin()
        except InvalidStatus as refused:
            error = from_answer(refused.response.status_code, bytes(refused.response.body or b""))
            self._sleep(self._stream.refused(error))
        except (OSError, TimeoutError, InvalidHandshake) as error:
            hint = tls_hint(str(error))
            wait = self._stream.broke(url, str(error) or type(error).__name__, hint)
            self._sleep(wait)


class EventWatch(Watch[list[hp.CloudEvent]]):
    """An iterator of events that holds a connection. Close it, or use it as a context manager."""

    def __init__(
        self, target: Target, context: ssl.SSLContext | None, feed: Feed, sleep: Callable[[float], None]
    ) -> None:
        super().__init__(target, context, feed, sleep)
        self._feed = feed

    @property
    def revision(self) -> int:
        """The newest revision that was seen."""
        return self._feed.revision

    @property
    def lagged(self) -> int:
        """How often this watcher was too slow and had to resume. Nothing was missed by it."""
        return self._feed.lagged

    def __iter__(self) -> Iterator[hp.CloudEvent]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[hp.CloudEvent]]:
        """As they come, several at a time; an empty batch says that Nexus was heard from."""
        return self.taken()


class ViewWatch(Watch[Changes]):
    """The whole fabric, kept as it is now: iterate over what changes, and look at `view`. Holds a connection: close it,
    or use it as a context manager."""

    def __init__(
        self, target: Target, context: ssl.SSLContext | None, feed: ViewFeed, sleep: Callable[[float], None]
    ) -> None:
        super().__init__(target, context, feed, sleep, VIEW_PING_S)
        self._feed = feed

    @property
    def view(self) -> View:
        """Changed by the iteration alone. While there is no connection it is as it was then."""
        return self._feed.view

    @property
    def trouble(self) -> str:
        """Why there is no connection now; empty while there is one, and before the first has failed."""
        return self._feed.patience.trouble

    @property
    def lagged(self) -> int:
        """How often this watcher was too slow and had to begin anew."""
        return self._feed.lagged

    def __iter__(self) -> Iterator[Changes]:
        yield from self.taken()
