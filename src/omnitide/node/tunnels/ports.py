"""Connections to the ports of an instance, each a tunnel."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Sequence
from typing import Final

from omnitide.drivers.protocol import Driver, DriverError, PortBinding, RunKey
from omnitide.node.answering import unless_silent
from omnitide.node.tunnels.talk import CHUNK, Talk, ignore, until_any
from omnitide.wire import node_pb2 as pb

CONNECT_DEADLINE: Final = 5.0


async def forward(
    talk: Talk, driver: Driver, key: RunKey, ports: Sequence[PortBinding], request: pb.ForwardRequest
) -> None:
    """Until both directions have ended, or either side is gone. Raises DriverError, LinkClosed, Overrun."""
    address = await unless_silent(driver, driver.address(key))
    port = find_port(ports, request.port, own_network=not ipaddress.ip_address(address).is_loopback)
    try:
        async with asyncio.timeout(CONNECT_DEADLINE):
            reader, writer = await asyncio.open_connection(address, port, limit=CHUNK)
    except TimeoutError:
        message = f"port {port} has not answered within {CONNECT_DEADLINE:g} s"
        raise DriverError(message, cause="port-silent", permanent=False) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise DriverError(f"nothing listens on port {port}: {why}", cause="port-refused", permanent=False) from None
    try:
        await talk.send(pb.TunnelFrame(started=True))
        await until_any(_both(talk, reader, writer), talk.listen(ignore))
    except OSError as error:
        raise DriverError(f"port {port}: {error.strerror or error}", cause="port-broke", permanent=False) from None
    finally:
        writer.transport.abort()


async def _both(talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def outwards() -> None:
        while data := await reader.read(CHUNK):
            await talk.send_data(data)
        await talk.send(pb.TunnelFrame(end_of_data=True))

    async def inwards() -> None:
        async for data in talk.incoming():
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    directions = [asyncio.ensure_future(outwards()), asyncio.ensure_future(inwards())]
    try:
        await asyncio.gather(*directions)
    finally:
        for one in directions:
            one.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
    await talk.send(pb.TunnelFrame(end=True))


def find_port(ports: Sequence[PortBinding], wanted: str, *, own_network: bool) -> int:
    """The number to connect to. An instance that shares the node's network is reached at its own ports alone: the
    others are somebody else's. Raises DriverError."""
    for port in ports:
        if wanted in (port.name, str(port.host), str(port.target)):
            if port.protocol != "tcp":
                message = f"port {port.name} is {port.protocol}, and only tcp is forwarded"
                raise DriverError(message, cause="port-unknown", permanent=True)
            return port.target if own_network else port.host
    if own_network and wanted.isascii() and wanted.isdigit() and 0 < int(wanted) <= 65535:
        return int(wanted)
    has = ", ".join(f"{port.name} ({port.host})" for port in ports) or "none"
    raise DriverError(f"the instance has no port {wanted!r}; its ports: {has}", cause="port-unknown", permanent=True)
