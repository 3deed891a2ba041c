"""Asks one probe once. Whatever an instance does while it is asked is an answer. A runtime that is away is none, and
neither is what this node is too busy for: an instance is judged by its own silence alone."""

import asyncio
import contextlib
import errno
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import h11

from omnitide.drivers.protocol import Driver, DriverError, PortBinding, RunKey
from omnitide.drivers.streams import Exec, ExecEnded, ExecRequest
from omnitide.model.probes import Probe
from omnitide.node.answering import answers
from omnitide.node.probes.judge import Answer

MAX_OUTPUT: Final = 200
"""Characters kept of what an exec probe says."""
MAX_HEAD: Final = 64 << 10
"""Bytes of an answer's head; a longer one is a failure."""
_SILENT: Final = "driver-unavailable"
"""Cause of what failed as the runtime does not answer."""
_NO_ADDRESS: Final = "no-address"
"""Cause of what has no network of its own nor the node's, such as a container with `network = "none"`."""
_OF_THE_NODE: Final = (_SILENT, "not-running", "busy", "resources")
"""Causes for which a program could not be run that are none of the instance's."""
_OUT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EADDRNOTAVAIL})
"""What a node, and not the instance, has run out of: descriptors, memory, ports to ask from."""
SLICE_S: Final = 0.25
"""A wait is made of such slices, to tell an instance that is silent from a node that does not come to listen."""
_WELL: Final = Answer(True)


class NoAnswer(Exception):
    """It cannot be asked: that says nothing of the instance."""


class RuntimeSilent(NoAnswer):
    """It cannot be asked as its runtime does not answer, and will not be while that lasts."""


class NeverAsked(NoAnswer):
    """It cannot be asked at all, as it is: the spec asks for what it does not have."""


Unanswered: TypeAlias = RuntimeSilent | NeverAsked
"""What says nothing of the instance, and is told of all the same."""


@dataclass
class Place:
    """Where an attempt was found last. It stays there while it runs: who asks it over the network needs no runtime."""

    address: str = ""


@dataclass
class _Asked:
    """How far a question has come."""

    put: bool = False
    """The instance has it, as far as that is the node's and the runtime's doing."""


class Target(NamedTuple):
    """An attempt, and where it is asked."""

    driver: Driver
    key: RunKey
    ports: tuple[PortBinding, ...]


async def ask(probe: Probe, target: Target, place: Place | None = None) -> Answer:
    """`place`: of this attempt, to be given again. Raises NoAnswer."""
    asked = _Asked()
    question = None
    try:
        # Before the clock of the question runs: to find the instance is none of its business.
        where = None if probe.type == "exec" else await _where(probe, target, place or Place())
        question = asyncio.ensure_future(_question(probe, target, asked, where))
        if await _in_time(question, probe.timeout / 1000):
            return question.result()
        if where is None and not await answers(target.driver):
            raise RuntimeSilent("its runtime does not answer")
        if not asked.put:
            raise NoAnswer(f"the question could not be put to it within {probe.timeout} ms")
        return Answer(False, f"no answer within {probe.timeout} ms")
    except OSError as error:
        if error.errno in _OUT_OF:
            raise NoAnswer(f"this node cannot ask: {error.strerror or error}") from error
        return Answer(False, f"it could not be asked: {error}")
    except ValueError as error:
        return Answer(False, f"it could not be asked: {error}")
    except NoAnswer:
        raise
    except Exception as error:
        raise NoAnswer(f"a defect of the driver: {type(error).__name__}: {error}") from error
    finally:
        if question is not None:
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)


async def _question(probe: Probe, target: Target, asked: _Asked, where: tuple[str, int] | None) -> Answer:
    if where is None:
        return await _exec(probe, target, asked)
    host, port = where
    asked.put = True
    if probe.type == "tcp":
        return await _tcp(host, port)
    if probe.type == "http":
        return await _http(probe, host, port)
    return await _grpc(probe, host, port)


async def _in_time(question: "asyncio.Future[Answer]", seconds: float) -> bool:
    """Whether it has ended within so many seconds in which this process came to listen.

    A slice that took twice its time is one in which this process did not run: the answer may lie there unread, so it is
    not counted. Raises NoAnswer where more than `seconds` are lost so.
    """
    loop = asyncio.get_running_loop()
    left, lost = seconds, 0.0
    while left > 0:
        piece = min(SLICE_S, left)
        began = loop.time()
        await asyncio.wait((question,), timeout=piece)
        if question.done():
            return True
        took = loop.time() - began
        if took < 2 * piece:
            left -= piece
            continue
        lost += took
        if lost > seconds + 2 * SLICE_S:
            # Whatever has come meanwhile is taken now, and nothing is concluded from what has not.
            await asyncio.wait((question,), timeout=SLICE_S)
            if question.done():
                return True
            raise NoAnswer(f"this node was too busy to listen for {lost:.1f} s")
    return False


async def _where(probe: Probe, target: Target, place: Place) -> tuple[str, int]:
    """Raises NoAnswer."""
    named = [port for port in target.ports if probe.port in (None, port.name)]
    if len(named) != 1:
        # An assignment without the port that its spec names: an older Nexus, or none was free.
        raise NeverAsked(f"the instance has no port {probe.port or ''}".rstrip())
    address = await _address(probe, target, place)
    # Where it shares the node's network its port is the node's; else its own address has its own port.
    return address, named[0].host if address == "127.0.0.1" else named[0].target


async def _address(probe: Probe, target: Target, place: Place) -> str:
    """As the runtime says now, or has said last where it does not answer. Raises NoAnswer."""
    try:
        async with asyncio.timeout(probe.timeout / 1000):
            place.address = await target.driver.address(target.key)
    except DriverError as error:
        if error.cause == _NO_ADDRESS:
            raise NeverAsked(str(error)) from error
        if error.cause != _SILENT:
            raise NoAnswer(str(error)) from error
        if not place.address:
            raise RuntimeSilent(str(error)) from error
    except TimeoutError:
        if not place.address:
            kind = NoAnswer if await answers(target.driver) else RuntimeSilent
            raise kind(f"where it is was not told within {probe.timeout} ms") from None
    return place.address


async def _tcp(host: str, port: int) -> Answer:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        if error.errno in _OUT_OF:
            raise
        return Answer(False, _refused(port, error))
    writer.close()
    return _WELL


async def _http(probe: Probe, host: str, port: int) -> Answer:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        if error.errno in _OUT_OF:
            raise
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


async def _exec(probe: Probe, target: Target, asked: _Asked) -> Answer:
    try:
        program = await target.driver.exec(target.key, ExecRequest(command=probe.command))
    except DriverError as error:
        if error.cause in _OF_THE_NODE:
            raise _no_answer(error) from error
        return Answer(False, f"{probe.command[0]}: {error}")
    asked.put = True
    said = bytearray()
    try:
        await program.end_input()
        while True:
            piece = await program.receive()
            if isinstance(piece, ExecEnded):
                break
            said = (said + piece.data)[-4 * MAX_OUTPUT :]
    except DriverError as error:
        raise _no_answer(error) from error
    finally:
        # Shielded: a probe that hangs is over when its time is, and the program with it.
        await asyncio.shield(_close(program))
    if piece.code == 0:
        return _WELL
    how = f"ended with {piece.code}" if piece.code is not None else f"was ended by signal {piece.signal}"
    text = said.decode(errors="replace").strip()[-MAX_OUTPUT:]
    return Answer(False, f"{probe.command[0]} {how}" + (f": {text}" if text else ""))


def _no_answer(error: DriverError) -> NoAnswer:
    return RuntimeSilent(str(error)) if error.cause == _SILENT else NoAnswer(str(error))


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
