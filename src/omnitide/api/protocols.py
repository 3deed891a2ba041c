"""What is spoken on the HTTPS port: uvicorn's protocols, with a deadline for whoever begins a request."""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any, Final, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from omnitide.api.connections import SCOPE_KEY, Connection
from omnitide.api.seldom import Seldom

HEAD_S: Final = 10.0
"""For the head of a request: of the first from the connection's beginning on, of others from their first byte on."""


SEND_NOW_KEY: Final = "omnitide.send_now"
"""In the scope of a WebSocket: `WebSocketProtocol.send_now`."""


class HttpProtocol(H11Protocol):
    """uvicorn's, which waits for ever for a request that has begun, and for a first one."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], connection: Connection
    ) -> None:
        """`Any`: as uvicorn has it."""
        super().__init__(config, server_state, app_state)
        self.connection = connection
        self.app = _on(connection, self.app)
        self.ws_protocol_class = functools.partial(WebSocketProtocol, connection=connection)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._had_head()
        self.connection.closed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # None before the first request, whatever uvicorn's types say.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        answered = cycle is not None and cycle.response_complete
        # Bytes of a body that nobody reads, after the answer, are no request either.
        if self.transport.is_closing() or not (self.conn.their_state is h11.IDLE or answered):
            self._had_head()
        elif self.timeout_keep_alive_task is None:
            self._await_head()

    def on_response_complete(self) -> None:
        self._had_head()
        super().on_response_complete()

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self._too_late)

    def _had_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        # Without a farewell: who does not speak does not answer one.
        self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, which takes a refusal with a body for an unfinished handshake and complains of it in the log."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connection: Connection,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connection = connection
        self.app = _on(connection, self.app, self.send_now)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.closed()
        super().connection_lost(exc)

    def send_now(self, message: bytes) -> bool:
        """Hand a whole message, as the connection carries it, to the transport. False if it cannot take it now: the
        other side reads too slowly, or is gone. For messages that a thousand others are sent as well; between `accept`
        and `close` only."""
        if self.close_sent or self.disconnected or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(message)
        return True

    async def send(self, message: ASGISendEvent) -> None:
        if self.close_sent and message["type"] in ("websocket.send", "websocket.close"):
            # The protocol itself has closed it, for a message that is too large say; uvicorn calls it a fault of ours.
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True


def _on(connection: Connection, app: Any, send_now: Callable[[bytes], bool] | None = None) -> Any:
    """The application, told on which connection a request comes. `Any`: uvicorn and Starlette type it differently."""
    inner: ASGIApp = app

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY] = connection
        if send_now is not None:
            scope[SEND_NOW_KEY] = send_now
        await inner(scope, receive, send)

    return run


class _Repeated(logging.Filter):
    """Of what uvicorn says of requests that are no HTTP, which anybody can send, some lines are enough."""

    def __init__(self) -> None:
        super().__init__()
        self._seldom = Seldom()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno != logging.WARNING or self._seldom.passes() is not None


logging.getLogger("uvicorn.error").addFilter(_Repeated())
