"""The HTTPS port: uvicorn inside the Nexus's own loop, without signal handlers or a lifespan of its own."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from omnitide.model.addresses import host_port
from omnitide.telemetry import logs

BACKLOG: Final = 1024
MAX_CONNECTIONS: Final = 8192
KEEP_ALIVE_S: Final = 30
PING_S: Final = 20.0
MAX_SOCKET_MESSAGE: Final = 16 << 10
"""Watchers have nothing to say."""
MAX_HEADERS: Final = 32 << 10
STUCK_MS: Final = 30_000
"""A connection that takes nothing of what was sent to it for so long is cut by the kernel (Linux)."""
STOP_S: Final = 5.0
FAREWELL_S: Final = 0.1
"""For a connection that was closed at the end to answer the farewell of TLS; one without a reader never does."""

_log = logs.get(__name__)


class PlaintextRefused(Exception):
    """A listener off loopback was asked for without TLS (law 7)."""


class _Server(uvicorn.Server):
    """Runs as a task among others: signals are the process's own business."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Requests have their time; who only keeps a connection open does not hold up the end."""
        cutting = asyncio.get_running_loop().create_task(self._cut_closed())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_closed(self) -> None:
        while True:
            await asyncio.sleep(FAREWELL_S)
            for connection in list(self.server_state.connections):
                if connection.transport.is_closing():
                    connection.transport.abort()

    async def main_loop(self) -> None:
        """Once a second, for the Date header, instead of ten times: idle costs nothing."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._stopping.wait()


class _Sockets(WebSocketsSansIOProtocol):
    """uvicorn's, which takes a refusal with a body for an unfinished handshake and complains of it in the log."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True


class ApiServer:
    """Listens from `start` until `close`."""

    def __init__(self, server: _Server, task: "asyncio.Task[None]", address: tuple[str, int], *, tls: bool) -> None:
        self._server = server
        self._task = task
        self.host, self.port = address
        self.tls = tls

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{host_port(self.host, self.port)}"

    @classmethod
    async def start(cls, app: ASGIApp, host: str, port: int, context: ssl.SSLContext | None) -> "ApiServer":
        """Listen on an IP address; port 0 takes a free one. Without a TLS context on loopback only.

        Raises PlaintextRefused, OSError if the port cannot be had.
        """
        if context is None and not ipaddress.ip_address(host).is_loopback:
            raise PlaintextRefused(f"{host} is not loopback, and nothing is served there without TLS")
        listener = _listen(host, port)
        config = uvicorn.Config(
            app,
            http="h11",
            ws=_Sockets,
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(STOP_S),
            ws_max_size=MAX_SOCKET_MESSAGE,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            # Frames are made once for all watchers; to compress each anew for each of them would undo that.
            ws_per_message_deflate=False,
            h11_max_incomplete_event_size=MAX_HEADERS,
            ssl_context_factory=None if context is None else lambda _, __: context,
        )
        server = _Server(config)
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]), name="api-server")
        while not server.started:
            if task.done():
                listener.close()
                task.result()
                raise OSError(f"the API server on {host_port(host, port)} ended before it began")
            await asyncio.sleep(0.001)
        address = listener.getsockname()
        made = cls(server, task, (address[0], address[1]), tls=context is not None)
        _log.info("API listens", url=made.url)
        return made

    async def close(self) -> None:
        """Stop listening, give requests a few seconds, close streams."""
        self._server.stop()
        done, _ = await asyncio.wait([self._task], timeout=STOP_S + 2)
        if not done:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns off Nagle's algorithm only where it is: an answer in two writes would
    # else wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
