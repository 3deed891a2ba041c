"""Asks one probe once. Whatever happens while it is asked is an answer; only a runtime that is away is none."""

import asyncio
import contextlib
from typing import Final, NamedTuple

import h11

from omnitide.drivers.protocol import Driver, DriverError, PortBinding, RunKey
from omnitide.drivers.streams import Exec, ExecEnded, ExecRequest
from omnitide.model.probes import Probe
from omnitide.node.probes.judge import Answer

MAX_OUTPUT: Final = 200
"""Characters kept of what an exec probe says."""
MAX_HEAD: Final = 64 << 10
"""Bytes of an answer's head; a longer one is a failure."""
_OF_THE_NODE: Final = ("driver-unavailable", "not-running", "busy", "resources")
"""Causes for which a program could not be run that are none of the instance's."""
_WELL: Final = Answer(True)


class NoAnswer(Exception):
    """The runtime cannot be asked: that says nothing of the instance."""


class Target(NamedTuple):
    """An attempt, and where it is asked."""

    driver: Driver
    key: RunKey
    ports: tuple[PortBinding, ...]


async def ask(probe: Probe, target: Target) -> Answer:
    """Raises NoAnswer."""
    try:
        async with asyncio.timeout(probe.timeout / 1000):
            if probe.type == "exec":
                return await _exec(probe, target)
            host, port = await _where(probe, target)
            if probe.type == "tcp":
                return await _tcp(host, port)
            if probe.type == "http":
                return await _http(probe, host, port)
            return await _grpc(probe, host, port)
    except TimeoutError:
        return Answer(False, f"no answer within {probe.timeout} ms")
    except (OSError, ValueError) as error:
        return Answer(False, f"it could not be asked: {error}")


async def _where(probe: Probe, target: Target) -> tuple[str, int]:
    named = [port for port in target.ports if probe.port in (None, port.name)]
    if len(named) != 1:
        # An assignment without the port that its spec names: an older Nexus, or none was free.
        raise NoAnswer(f"the instance has no port {probe.port or ''}".rstrip())
    try:
        address = await target.driver.address(target.key)
    except DriverError as error:
        raise NoAnswer(str(error)) from error
    # Where it shares the node's network its port is the node's; else its own address has its own port.
    return address, named[0].host if address == "127.0.0.1" else named[0].target


async def _tcp(host: str, port: int) -> Answer:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Answer(False, _refused(port, error))
    writer.close()
    return _WELL


async def _http(probe: Probe, host: str, port: int) -> Answer:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return Answer(False, _refused(port, error))
    try:
        return await _status(probe, host, port, reader, writer)
    except (OSError, h11.ProtocolError) as error:
        return Answer(False, f"no HTTP answer on port {port}: {error}")
    finally:
        writer.close()


async def _status(
    probe: Probe, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Answer:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    given = {name.lower() for name in probe.headers}
    headers = [(name, value) for name, value in probe.headers.items()]
    if "host" not in given:
        headers.insert(0, ("Host", f"{host}:{port}"))
    if "user-agent" not in given:
        headers.append(("User-Agent", "omnitide-probe"))
    headers.append(("Connection", "close"))
    request = h11.Request(method="GET", target=probe.path, headers=headers)
    for event in (request, h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(16 << 10))
        elif isinstance(event, h11.Response):
            good = 200 <= event.status_code < 400
            return _WELL if good else Answer(False, f"GET {probe.path} answers {event.status_code}")
        elif isinstance(event, h11.ConnectionClosed | h11.EndOfMessage):
            return Answer(False, f"GET {probe.path}: the connection was closed without an answer")


async def _exec(probe: Probe, target: Target) -> Answer:
    try:
        program = await target.driver.exec(target.key, ExecRequest(command=probe.command))
    except DriverError as error:
        if error.cause in _OF_THE_NODE:
            raise NoAnswer(str(error)) from error
        return Answer(False, f"{probe.command[0]}: {error}")
    said = bytearray()
    try:
        await program.end_input()
        while True:
            piece = await program.receive()
            if isinstance(piece, ExecEnded):
                break
            said = (said + piece.data)[-4 * MAX_OUTPUT :]
    except DriverError as error:
        raise NoAnswer(str(error)) from error
    finally:
        # Shielded: a probe that hangs is over when its time is, and the program with it.
        await asyncio.shield(_close(program))
    if piece.code == 0:
        return _WELL
    how = f"ended with {piece.code}" if piece.code is not None else f"was ended by signal {piece.signal}"
    text = said.decode(errors="replace").strip()[-MAX_OUTPUT:]
    return Answer(False, f"{probe.command[0]} {how}" + (f": {text}" if text else ""))


async def _close(program: Exec) -> None:
    with contextlib.suppress(DriverError):
        await program.close()


async def _grpc(probe: Probe, host: str, port: int) -> Answer:
    # Not before it is needed: most nodes never ask so.
    import grpc
    import grpc.aio
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    async with grpc.aio.insecure_channel(f"{host}:{port}", options=[("grpc.enable_retries", 0)]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            answer = await check(HealthCheckRequest(service=probe.service))
        except grpc.aio.AioRpcError as error:
            return Answer(False, f"grpc health on port {port}: {error.code().name.lower()}: {error.details()}")
    if answer.status == HealthCheckResponse.SERVING:
        return _WELL
    return Answer(False, f"grpc health on port {port}: {HealthCheckResponse.ServingStatus.Name(answer.status)}")


def _refused(port: int, error: OSError) -> str:
    return f"port {port}: {error.strerror or error}"
