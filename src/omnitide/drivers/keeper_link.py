"""The node proxy's connection to the keeper, in asyncio: requests with their answers, and what is pushed."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from omnitide.drivers.protocol import DriverError
from omnitide.node.keeper import protocol
from omnitide.node.keeper.launch import KeeperUnavailable, connect, ensure_keeper
from omnitide.node.keeper.protocol import Json

MAX_IN_FLIGHT = 4096
"""Requests without answer at a time; more wait their turn."""
_READ_AT_ONCE = 64 << 10
_WRITE_AT_ONCE = 64 << 10
"""Bytes of requests that are not collected any longer."""
ANSWER_S = 30.0
"""How long an answer may take; a keeper that takes longer is called unavailable."""

T = TypeVar("T")


class WireExit(msgspec.Struct, frozen=True):
    """`Exit` as the keeper tells it."""

    code: int | None
    signal: int | None
    reason: str
    message: str = ""
    out_of_memory: bool = False
    ended_at_ms: int = 0


class WireRun(msgspec.Struct, frozen=True):
    """A run as the keeper tells it."""

    instance: str
    attempt: int
    state: str
    pid: int
    started_at_ms: int = 0
    exit: WireExit | None = None
    unenforced: Sequence[str] = ()
    groups: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    kind: str = ""


class _WireError(msgspec.Struct, frozen=True):
    message: str
    cause: str
    permanent: bool


class _Message(msgspec.Struct, frozen=True):
    """Anything that the keeper says."""

    id: int | None = None
    ok: msgspec.Raw = msgspec.Raw()
    error: _WireError | None = None
    push: str | None = None
    run: WireRun | None = None


def unavailable(message: str) -> DriverError:
    return DriverError(message, cause="driver-unavailable", permanent=False)


class KeeperLink(asyncio.BufferedProtocol):
    """One connection, from `open_link` until it breaks; then every open request fails and `lost` is called once."""

    def __init__(self, pushed: Callable[[WireRun], None], lost: Callable[["KeeperLink"], None]) -> None:
        self._pushed = pushed
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._incoming = memoryview(bytearray(_READ_AT_ONCE))
        """What has just come. Kept, as a new one for each read would be fresh memory of the system's each time."""
        self._buffer = bytearray()
        """A message of which the end is still to come."""
        self._decoder = msgspec.json.Decoder(_Message)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._next = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._out = bytearray()
        """What is sent when whoever is due in this turn of the event loop has asked: each send wakes the keeper."""

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    # -- asyncio.BufferedProtocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's interface
        return self._incoming

    def buffer_updated(self, nbytes: int) -> None:
        buffer = self._buffer
        buffer += self._incoming[:nbytes]
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if end - start > protocol.MAX_MESSAGE + 4:
                self._break(f"a message of {end - start} bytes")
                return
            if len(buffer) < end:
                break
            with memoryview(buffer) as view:
                body = bytes(view[start + 4 : end])
            start = end
            try:
                self._take(self._decoder.decode(body))
            except msgspec.DecodeError as error:
                self._break(f"a message that cannot be read: {error}")
                return
        del buffer[:start]

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        self._transport = None
        self._writable.set()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(unavailable("the keeper has hung up"))
        self._lost(self)

    # -- ours ------------------------------------------------------------------------------------------------------

    def _break(self, why: str) -> None:
        """The keeper does not speak our protocol; whoever waits learns it through `connection_lost`."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(unavailable(f"the keeper sent {why}"))
        self.close()

    def _take(self, message: _Message) -> None:
        if message.push is not None:
            if message.push == "run" and message.run is not None:
                self._pushed(message.run)
            return
        if message.id is None:
            if message.error is not None:
                self._break(f"a refusal of this connection: {message.error.message}")
            return
        future = self._waiting.pop(message.id, None)
        if future is None or future.done():
            return
        if message.error is not None:
            error = message.error
            future.set_exception(DriverError(error.message, cause=error.cause, permanent=error.permanent))
        else:
            future.set_result(message.ok)

    async def ask(
        self, operation: str, answer: type[T], fields: Mapping[str, object] | None = None, *, patient: bool = False
    ) -> T:
        """The answer to a request. Raises DriverError: the keeper's refusal, or `driver-unavailable`.

        `patient`: wait for as long as the connection lasts.
        """
        async with self._slots:
            self._next += 1
            number = self._next
            try:
                body = msgspec.json.encode({"id": number, "op": operation, **(fields or {})})
            except UnicodeEncodeError as error:
                message = f"a text that is not Unicode: {error}"
                raise DriverError(message, cause="invalid", permanent=True) from None
            if len(body) > protocol.MAX_MESSAGE:
                message = f"{operation}: {len(body)} bytes are more than the {protocol.MAX_MESSAGE} that fit a request"
                raise DriverError(message, cause="command-size", permanent=True)
            await self._writable.wait()
            if self._transport is None:
                raise unavailable("the keeper has hung up")
            future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
            self._waiting[number] = future
            try:
                self._write(body)
                if patient:
                    raw = await future
                else:
                    async with asyncio.timeout(ANSWER_S):
                        raw = await future
            except TimeoutError:
                raise unavailable(f"the keeper has not answered {operation!r} for {ANSWER_S:.0f} s") from None
            finally:
                if self._waiting.pop(number, None) is not None and patient:
                    self._take_back(number)
        try:
            return msgspec.json.decode(raw, type=answer)
        except msgspec.DecodeError as error:
            raise unavailable(f"the keeper's answer to {operation!r} cannot be read: {error}") from None

    def _take_back(self, number: int) -> None:
        """Tell the keeper that nobody waits for an answer any more; what it says to that is not awaited either."""
        if self._transport is not None:
            self._next += 1
            self._write(msgspec.json.encode({"id": self._next, "op": "cancel", "request": number}))

    def _write(self, body: bytes) -> None:
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out += len(body).to_bytes(4, "big")
        self._out += body
        if len(self._out) >= _WRITE_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        out, self._out = self._out, bytearray()
        if self._transport is not None and out:
            self._transport.write(out)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class KeeperOptions(msgspec.Struct, frozen=True):
    """How a keeper is started where there is none."""

    directory: str
    cgroup: str = "auto"
    max_runs: int = 2000
    start: bool = True
    """False: only one that is there is worked with."""


async def open_link(
    options: KeeperOptions, pushed: Callable[[WireRun], None], lost: Callable[[KeeperLink], None]
) -> KeeperLink:
    """Connect to the directory's keeper, started now if there is none. Raises DriverError."""
    try:
        connection = await asyncio.to_thread(_connect, options)
    except (KeeperUnavailable, protocol.Refused, OSError) as error:
        raise unavailable(f"keeper of {options.directory}: {error}") from error
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: KeeperLink(pushed, lost), sock=connection)
    return link


def _connect(options: KeeperOptions) -> socket.socket:
    """Raises KeeperUnavailable, Refused, OSError."""
    if options.start:
        start_keeper(options)
    return connect(options.directory)


def start_keeper(options: KeeperOptions) -> Json:
    """What the directory's keeper says of itself, started now if there is none; blocks. Raises as `ensure_keeper`."""
    return ensure_keeper(options.directory, cgroup=options.cgroup, max_runs=options.max_runs, leaf_pid=os.getpid())
