"""A WebSocket into an instance: data in both directions within credit, and an end with its reason."""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from omnitide.model.problem import Problem
from omnitide.sdk.defaults import CONNECT_S
from omnitide.sdk.errors import from_answer, from_problem, unreachable
from omnitide.sdk.exchange import tls_hint
from omnitide.sdk.feed import SUBPROTOCOL
from omnitide.sdk.target import Target

CHUNK: Final = 64 << 10
WINDOW: Final = 256 << 10
"""Bytes of data that may be under way in each direction."""
_TELL: Final = WINDOW // 4
OPEN_S: Final = 45.0
"""For the fabric to have begun with what was asked for."""


class Exited(msgspec.Struct, frozen=True):
    """How a program in an instance ended: one of the two."""

    code: int | None = None
    signal: int | None = None


class Piece(NamedTuple):
    """Data from an instance, 64 KiB at most."""

    data: bytes
    stream: str = ""
    """Of a program: stdout or stderr."""


class EndOfData(NamedTuple):
    """The other side sends no more."""


class _Told(msgspec.Struct, frozen=True):
    started: bool = False
    taken: int = 0
    end: bool = False
    exited: Exited | None = None
    problem: Problem | None = None


class Tunnel:
    """From `open` to `close`. Belongs to one event loop; one sender of data and one receiver at a time."""

    def __init__(self, socket: ClientConnection, url: str, *, streams: bool) -> None:
        """`streams`: the first byte of each message of data says which stream it is of."""
        self._socket = socket
        self._url = url
        self._streams = streams
        self._credit = WINDOW
        self._more_credit = asyncio.Event()
        self._inbox: deque[Piece | EndOfData] = deque()
        self._news = asyncio.Event()
        self._untold = 0
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ending: Exited | Exception | None = None
        self._reader = asyncio.create_task(self._read(), name="tunnel")

    @classmethod
    async def open(
        cls,
        target: Target,
        context: ssl.SSLContext | None,
        path: str,
        query: Mapping[str, str],
        first: object = None,
        *,
        streams: bool = False,
    ) -> "Tunnel":
        """Until the fabric has begun. Raises FabricError."""
        parts = urlsplit(target.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        try:
            socket = await connect(
                urlunsplit((scheme, parts.netloc, path, urlencode(query), "")),
                ssl=context,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={"authorization": f"Bearer {target.token}"} if target.token else {},
                compression=None,
                proxy=None if target.local else True,
                open_timeout=OPEN_S,
                close_timeout=1.0,
                max_size=CHUNK + 4096,
                max_queue=16,
            )
        except InvalidStatus as refused:
            raise from_answer(refused.response.status_code, bytes(refused.response.body or b"")) from None
        except (OSError, TimeoutError, InvalidHandshake) as error:
            reason = str(error) or type(error).__name__
            raise unreachable(target.url, reason, tls_hint(reason)) from None
        tunnel = cls(socket, target.url, streams=streams)
        try:
            if first is not None:
                await tunnel.tell(exec=first)
            async with asyncio.timeout(OPEN_S + CONNECT_S):
                await asyncio.shield(tunnel._started)
        except TimeoutError:
            await tunnel.close()
            raise unreachable(target.url, "what was asked for did not begin in time", "") from None
        except BaseException:
            await tunnel.close()
            raise
        return tunnel

    async def tell(self, **field: object) -> None:
        """A message besides the data. What has ended hears nothing."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(msgspec.json.encode(field).decode())

    async def send(self, data: bytes) -> None:
        """Waits while the other side does not take it. What has ended takes nothing: no error."""
        view = memoryview(data)
        while view and self._ending is None:
            if not self._credit:
                self._more_credit.clear()
                await self._more_credit.wait()
                continue
            chunk = view[: min(CHUNK, self._credit)]
            self._credit -= len(chunk)
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(bytes(chunk))
            view = view[len(chunk) :]

    async def receive(self) -> Piece | EndOfData | Exited:
        """The next piece; of a program, last how it ended. Raises FabricError."""
        while not self._inbox:
            if isinstance(self._ending, Exception):
                raise self._ending
            if self._ending is not None:
                return self._ending
            self._news.clear()
            await self._news.wait()
        piece = self._inbox.popleft()
        if isinstance(piece, Piece):
            self._untold += len(piece.data)
            if self._untold >= _TELL:
                told, self._untold = self._untold, 0
                await self.tell(taken=told)
        return piece

    async def close(self) -> None:
        """Hang up: a program that still runs is killed, a connection ended. Idempotent."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        with contextlib.suppress(ConnectionClosed, OSError):
            await self._socket.close()

    async def _read(self) -> None:
        ending: Exited | Exception
        try:
            while True:
                message = await self._socket.recv()
                if isinstance(message, bytes):
                    self._put(message)
                    continue
                told = msgspec.json.decode(message, type=_Told)
                if told.problem is not None:
                    ending = from_problem(told.problem)
                    break
                if told.exited is not None:
                    ending = told.exited
                    break
                if told.taken:
                    self._credit = min(WINDOW, self._credit + told.taken)
                    self._more_credit.set()
                if told.end:
                    self._inbox.append(EndOfData())
                    self._news.set()
                if told.started and not self._started.done():
                    self._started.set_result(None)
        except ConnectionClosed as gone:
            # A port's end is said so; anything else is a connection that broke.
            clean = gone.rcvd is not None and gone.rcvd.code == 1000
            ending = Exited() if clean else unreachable(self._url, "the connection broke", "")
        except msgspec.MsgspecError as error:
            ending = unreachable(self._url, f"a message cannot be read: {error}", "")
        except asyncio.CancelledError:
            self._end(unreachable(self._url, "this side has hung up", ""))
            raise
        self._end(ending)

    def _end(self, ending: "Exited | Exception") -> None:
        self._ending = ending
        self._news.set()
        self._more_credit.set()
        if not self._started.done():
            if isinstance(ending, Exception):
                self._started.set_exception(ending)
                self._started.exception()  # it may be that nobody waits any more
            else:
                self._started.set_result(None)

    def _put(self, message: bytes) -> None:
        if self._streams:
            stream = "stderr" if message[:1] == b"\x02" else "stdout"
            self._inbox.append(Piece(message[1:], stream))
        else:
            self._inbox.append(Piece(message))
        self._news.set()
