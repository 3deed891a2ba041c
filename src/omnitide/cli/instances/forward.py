"""`omnitide port-forward`: ports of an instance on this machine."""

import asyncio
import contextlib
import errno
import ipaddress
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from omnitide.cli.access.names import agents_and_instances
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.hearing import hearing
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.model.objects import Instance
    from omnitide.sdk.async_client import AsyncClient, AsyncForward

CHUNK: Final = 64 << 10
MAX_CONNECTIONS: Final = 100
"""At once; further ones wait for one to end."""


class _Wanted(NamedTuple):
    local: int
    """0: any free one."""
    port: str


def port_forward(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="INSTANCE|AGENT",
            help="Instance such as hello-2.1, or an agent: then its running replicas in turn.",
            autocompletion=agents_and_instances,
        ),
    ],
    ports: Annotated[
        list[str],
        typer.Argument(metavar="[LOCAL:]PORT", help="Name of a port in the spec, or its number, and the port here."),
    ],
    address: Annotated[
        str,
        typer.Option("--address", metavar="IP", help="Address to listen on; others can reach what is not loopback."),
    ] = ("127.0.0.1"),
) -> None:
    """Listen here and connect to ports of an instance, wherever it runs, until Ctrl-C.

    8080:http is port 8080 here and the port called http there; http or :20417 takes any free port here, which is said.

    Each connection goes through Nexus and the node's own connection to it, so nothing has to reach the node. One that
    fails is told and the others go on; when a replica ends, an agent's next connections go to another.
    """
    session = session_of(context)
    wanted = [_wanted(text) for text in ports]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise Failure(f"--address {address!r} is no IP address", code=Exit.USAGE) from None
    with hearing(session):
        asyncio.run(_Forwarding(session, name, address).run(wanted))


def _wanted(text: str) -> _Wanted:
    local, colon, port = text.rpartition(":")
    if not port or (local and not (local.isascii() and local.isdigit() and 0 < int(local) <= 65535)):
        raise Failure(f"{text!r} is not [LOCAL:]PORT", "such as 8080:http, http or 8080", Exit.USAGE)
    if local:
        return _Wanted(int(local), port)
    return _Wanted(int(port) if not colon and port.isdigit() and 0 < int(port) <= 65535 else 0, port)


class _Forwarding:
    """All listeners of one command."""

    def __init__(self, session: Session, name: str, address: str) -> None:
        self._session = session
        self._name = name
        self._address = address
        self._instances: list[Instance] = []
        self._turn = 0
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)

    async def run(self, wanted: list[_Wanted]) -> None:
        """Until it is cancelled. Raises FabricError, Failure."""
        await self._look()
        for one in wanted:
            self._check(one.port)
        async with self._session.async_client() as client, contextlib.AsyncExitStack() as stack:
            if all(instance.status == "unknown" for instance in self._instances):
                # Nobody would come through: the fabric says why, here and now.
                await stack.enter_async_context(await self._open(client, wanted[0].port))
            for one in wanted:
                server = await self._listen(client, one)
                stack.push_async_callback(server.wait_closed)
                stack.callback(server.close)
                self._tell(server.sockets[0].getsockname(), one)
            await asyncio.get_running_loop().create_future()

    def _check(self, port: str) -> None:
        """Raises Failure for a name that no replica's spec has: each connection would fail for it."""
        known = sorted({name for instance in self._instances for name in instance.ports})
        if port.isdigit() or port in known:
            return
        hint = f"there is {', '.join(known)}; a number is taken as it is" if known else "its spec has no ports"
        raise Failure(f"{self._name} has no port {port!r}", hint, Exit.NOT_FOUND)

    async def _listen(self, client: "AsyncClient", one: _Wanted) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with self._room:
                    await self._serve(client, one.port, reader, writer)
            finally:
                writer.transport.abort()

        try:
            return await asyncio.start_server(connected, self._address, one.local, limit=CHUNK)
        except OSError as error:
            hint = f"another port here: {one.local + 1}:{one.port}" if error.errno == errno.EADDRINUSE else ""
            what = f"cannot listen on {self._address} port {one.local}: {error.strerror or error}"
            raise Failure(what, hint, Exit.CONFLICT) from None

    def _tell(self, place: tuple[str, int], one: _Wanted) -> None:
        host, port = place[0], place[1]
        if self._session.plain:
            told = {"address": host, "port": port, "target": self._name, "target_port": one.port}
            self._session.emit(told)
        else:
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            print(f"  {shown} -> {self._name} port {one.port}", flush=True)

    async def _look(self) -> None:
        """Find out anew what runs."""

        def find() -> "list[Instance]":
            from omnitide.cli.instances.choosing import running_ones

            with self._session.client() as client:
                return running_ones(self._session, client, self._name)

        self._instances = await asyncio.to_thread(find)

    async def _serve(
        self, client: "AsyncClient", port: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection, told of if it fails."""
        from omnitide.sdk.errors import FabricError

        try:
            async with await self._open(client, port) as far:
                await _carry(far, reader, writer)
        except (FabricError, Failure) as error:
            self._session.warn(f"a connection to {self._name} port {port} failed: {error}")
        except OSError:
            pass  # the program here has left

    async def _open(self, client: "AsyncClient", port: str) -> "AsyncForward":
        """Raises FabricError, Failure."""
        from omnitide.sdk.errors import Conflict, NotFound, Unavailable

        self._turn += 1
        try:
            return await client.forward_instance(self._instances[self._turn % len(self._instances)].id, port)
        except (NotFound, Conflict, Unavailable):
            # It may have ended since it was looked up.
            await self._look()
            return await client.forward_instance(self._instances[self._turn % len(self._instances)].id, port)


async def _carry(far: "AsyncForward", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def there() -> None:
        while data := await reader.read(CHUNK):
            await far.send(data)
        await far.end()

    async def back() -> None:
        while data := await far.receive():
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    directions = [asyncio.ensure_future(there()), asyncio.ensure_future(back())]
    try:
        await asyncio.gather(*directions)
        await writer.drain()
    finally:
        for one in directions:
            one.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
