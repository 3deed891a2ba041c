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

from omnitide.api.connections import Connections, bound_of_process
from omnitide.api.protocols import HttpProtocol, WebSocketProtocol
from omnitide.api.seldom import Seldom
from omnitide.model.addresses import host_port
from omnitide.telemetry import logs

BACKLOG: Final = 1024
ACCEPTED_AT_ONCE: Final = 64
"""Then whatever else waits in the loop has its turn."""
NO_FILES_WAIT_S: Final = 0.5
HANDSHAKE_S: Final = 10.0
"""For TLS, from the acceptance of a connection on."""
FAREWELL_OF_TLS_S: Final = 5.0
KEEP_ALIVE_S: Final = 30
"""For the next request after an answer."""
PING_S: Final = 20.0
MAX_SOCKET_MESSAGE: Final = 66 << 10
"""A chunk of data for an instance. Watchers have nothing to say."""
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
    """Runs as a task among others: signals are the process's own business.

    It accepts connections itself, so that their number has a bound before anything is read from them.
    """

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()
        self._admitted = connections
        self._accepting: list[asyncio.Task[None]] = []
        self._greeting: set[asyncio.Task[None]] = set()
        self._seldom = Seldom(burst=1)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Instead of uvicorn's servers, each of which would take whatever comes. There is no lifespan."""
        self.servers: list[asyncio.Server] = []
        for listener in sockets or []:
            self._accepting.append(asyncio.get_running_loop().create_task(self._accept(listener), name="api-accept"))
        self.started = True

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        at_once = 0
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                # No file is left for it, or it was gone before it could be taken.
                left_out = self._seldom.passes()
                if left_out is not None:
                    _log.error("a connection could not be taken", error=str(error), left_out=left_out)
                await asyncio.sleep(NO_FILES_WAIT_S)
                continue
            self._take(accepted, str(address[0]))
            at_once += 1
            if at_once % ACCEPTED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _take(self, accepted: socket.socket, address: str) -> None:
        def cut() -> None:
            # Whatever it waits for ends with it: the handshake, a request, an answer.
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)

        connection = self._admitted.admit(address, cut)
        if connection is None:
            accepted.close()
            return
        protocol = HttpProtocol(self.config, self.server_state, {}, connection)
        greeting = asyncio.get_running_loop().create_task(self._greet(accepted, protocol), name="api-greet")
        self._greeting.add(greeting)
        greeting.add_done_callback(self._greeting.discard)

    async def _greet(self, accepted: socket.socket, protocol: HttpProtocol) -> None:
        context = self.config.ssl
        try:
            accepted.setblocking(False)
            if context is None:
                await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, accepted)
            else:
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: protocol,
                    accepted,
                    ssl=context,
                    ssl_handshake_timeout=HANDSHAKE_S,
                    ssl_shutdown_timeout=FAREWELL_OF_TLS_S,
                )
        except (OSError, ssl.SSLError, TimeoutError):
            # Bytes that are no TLS, a certificate that the client does not trust, silence: nothing that we can mend.
            protocol.connection.closed()
            accepted.close()
        except BaseException:
            protocol.connection.closed()
            accepted.close()
            raise

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Requests have their time; who only keeps a connection open does not hold up the end."""
        for task in (*self._accepting, *self._greeting):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._greeting, return_exceptions=True)
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
    async def start(
        cls, app: ASGIApp, host: str, port: int, context: ssl.SSLContext | None, *, connections: int | None = None
    ) -> "ApiServer":
        """Listen on an IP address; port 0 takes a free one. Without a TLS context on loopback only.

        `connections`: how many may be open at once, if it is not what the process has room for.

        Raises PlaintextRefused, OSError if the port cannot be had.
        """
        if context is None and not ipaddress.ip_address(host).is_loopback:
            raise PlaintextRefused(f"{host} is not loopback, and nothing is served there without TLS")
        listener = _listen(host, port)
        config = uvicorn.Config(
            app,
            http="h11",
            ws=WebSocketProtocol,
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
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
        server = _Server(config, Connections(bound_of_process() if connections is None else connections))
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
