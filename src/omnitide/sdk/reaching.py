"""Programs in instances and connections to their ports, for the asynchronous client.

Both are talks in two directions at once, which the client without an event loop does not have: `asyncio.run` around
these is the way there.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from omnitide.sdk.asynchronous.connection import AsyncConnection
from omnitide.sdk.paths import path_of
from omnitide.sdk.tunnel import EndOfData, Exited, Piece, Tunnel


class _Held:
    """What holds a tunnel; use it as a context manager, or close it."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    async def close(self) -> None:
        """Idempotent."""
        await self._tunnel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncExec(_Held):
    """A program in an instance. It is killed when this is closed. Flow control: it waits while nobody receives."""

    async def receive(self) -> Piece | Exited:
        """The next piece of output, `Exited` last. One caller at a time. Raises FabricError if it was lost."""
        while isinstance(piece := await self._tunnel.receive(), EndOfData):
            pass
        return piece

    async def write(self, data: bytes) -> None:
        """To its standard input; waits while it does not read."""
        await self._tunnel.send(data)

    async def end_input(self) -> None:
        await self._tunnel.tell(end=True)

    async def resize(self, rows: int, columns: int) -> None:
        """Of its terminal."""
        await self._tunnel.tell(resize={"rows": max(1, rows), "columns": max(1, columns)})

    async def signal(self, number: int) -> None:
        """To it and what it runs in the foreground."""
        await self._tunnel.tell(signal=number)


class AsyncForward(_Held):
    """A connection to a port of an instance."""

    async def receive(self) -> bytes:
        """The next piece; empty at the end. Raises FabricError if the connection was lost."""
        piece = await self._tunnel.receive()
        return piece.data if isinstance(piece, Piece) else b""

    async def send(self, data: bytes) -> None:
        """Waits while the other side does not take it."""
        await self._tunnel.send(data)

    async def end(self) -> None:
        """Send no more; what is received goes on."""
        await self._tunnel.tell(end=True)


class ReachCalls(AsyncConnection):
    """Into instances."""

    async def exec_instance(
        self,
        identifier: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        working_directory: str = "",
        user: str = "",
        terminal: bool = False,
        rows: int = 24,
        columns: int = 80,
    ) -> AsyncExec:
        """Run a further program inside an instance: its directory, user and environment, unless said otherwise.

        `terminal`: with a pseudo-terminal of this size; stdout and stderr are one.
        """
        first = {
            "command": list(command),
            "environment": dict(environment or {}),
            "working_directory": working_directory,
            "user": user,
            "terminal": terminal,
            "rows": rows,
            "columns": columns,
        }
        path = path_of("instances", identifier, "exec")
        return AsyncExec(await Tunnel.open(self.target, self._context, path, {}, first, streams=True))

    async def forward_instance(self, identifier: str, port: str) -> AsyncForward:
        """Connect to a port of an instance, by the name in its spec or by its number."""
        path = path_of("instances", identifier, "forward")
        return AsyncForward(await Tunnel.open(self.target, self._context, path, {"port": port}))
