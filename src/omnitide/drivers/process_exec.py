"""A further program inside a run of the keeper: pipes or a terminal between it and us, none of it by the keeper."""

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Callable
from typing import Final

import msgspec

from omnitide.drivers.protocol import DriverError, RunKey
from omnitide.drivers.streams import ExecEnded, ExecOutput, ExecRequest
from omnitide.node.keeper import protocol
from omnitide.node.keeper.launch import KeeperUnavailable, connect

CHUNK: Final = 64 << 10
DRAIN_S: Final = 0.25
"""After the program's end, for what else holds its output open and is not of its process group."""
ANSWER_S: Final = 30.0
KILL_S: Final = 2.0
"""For the keeper to end what a talk leaves."""
_END_OF_INPUT: Final = b"\x04"
"""As typed at a terminal."""


class _Error(msgspec.Struct, frozen=True):
    message: str
    cause: str
    permanent: bool


class _Begun(msgspec.Struct, frozen=True):
    pid: int = 0


class _Message(msgspec.Struct, frozen=True):
    """What the keeper says on a connection that has asked for one program."""

    id: int | None = None
    ok: _Begun | None = None
    error: _Error | None = None
    push: str | None = None
    code: int | None = None
    signal: int | None = None


def _unavailable(why: str) -> DriverError:
    return DriverError(f"the keeper: {why}", cause="driver-unavailable", permanent=False)


class ProcessExec:
    """See `streams.Exec`. The connection to the keeper is the talk: the keeper kills the program when it closes."""

    def __init__(
        self,
        connection: socket.socket,
        decoder: protocol.Decoder,
        pid: int,
        source: int,
        outputs: dict[int, str],
        terminal: bool,
    ) -> None:
        """`decoder` holds what has come behind the answer. `source`: where its input goes. `outputs`: descriptors to
        read, with the streams that they carry."""
        self._connection = connection
        self._decoder = decoder
        self._pid = pid
        self._source = source
        self._outputs = dict(outputs)
        self._terminal = terminal
        self._closed = False
        self._input_ended = False
        self._ended: asyncio.Future[ExecEnded] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen(), name="exec-end")

    async def receive(self) -> ExecOutput | ExecEnded:
        while self._outputs:
            for fd, stream in list(self._outputs.items()):
                try:
                    data = os.read(fd, CHUNK)
                except BlockingIOError:
                    continue
                except OSError as error:
                    if error.errno != errno.EIO:  # how a terminal says that nobody has it open any more
                        raise
                    data = b""
                if data:
                    return ExecOutput(stream, data)
                self._finish(fd)
            if self._outputs and not await self._readable():
                for fd in list(self._outputs):
                    self._finish(fd)
        return await asyncio.shield(self._ended)

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self._takes_input():
            try:
                sent = os.write(self._source, view)
            except BlockingIOError:
                await self._ready(self._source, asyncio.get_running_loop().add_writer, writing=True)
                continue
            except OSError:
                return  # nobody reads it any more
            view = view[sent:]

    async def end_input(self) -> None:
        if self._terminal:
            await self.write(_END_OF_INPUT)
        elif self._takes_input():
            self._input_ended = True
            os.close(self._source)

    async def resize(self, rows: int, columns: int) -> None:
        if self._terminal and self._takes_input():
            with contextlib.suppress(OSError):
                set_size(self._source, rows, columns)

    async def signal(self, number: int) -> None:
        if self._closed or self._ended.done():
            return
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(
                self._connection,
                _packed({"id": 3, "op": "exec-signal", "pid": self._pid, "signal": number}),
            )

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        if self._terminal and not self._ended.done():
            await self._killed()
        self._connection.close()
        if not self._ended.done():
            self._ended.set_exception(_unavailable("this talk was closed"))
        self._ended.exception()
        for fd in list(self._outputs):
            self._finish(fd)
        if not self._input_ended and not self._terminal:
            self._input_ended = True
            _forget(self._source)
            os.close(self._source)

    async def _killed(self) -> None:
        """Hang up, and wait for the keeper to do so: it kills all that the program has started as long as that is below
        it. A terminal that is closed before ends a shell, and leaves its jobs to nobody."""
        with contextlib.suppress(OSError, TimeoutError):
            self._connection.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(KILL_S):
                while await asyncio.get_running_loop().sock_recv(self._connection, CHUNK):
                    pass

    def _takes_input(self) -> bool:
        return not self._closed and not self._input_ended and not (self._terminal and not self._outputs)

    def _finish(self, fd: int) -> None:
        del self._outputs[fd]
        _forget(fd)
        os.close(fd)

    async def _listen(self) -> None:
        """Until the keeper tells of the end, or is gone."""
        decoder, loop = self._decoder, asyncio.get_running_loop()
        try:
            while True:
                while (message := decoder.next()) is not None:
                    told = msgspec.convert(message, _Message)
                    if told.push == "exec":
                        self._ended.set_result(ExecEnded(told.code, told.signal))
                        return
                data = await loop.sock_recv(self._connection, CHUNK)
                if not data:
                    break
                decoder.feed(data)
            why = "it has hung up"
        except (OSError, protocol.ProtocolError, msgspec.ValidationError) as error:
            why = str(error)
        self._ended.set_exception(_unavailable(why))

    async def _readable(self) -> bool:
        """Until there is output or the end of it. False: the program has ended, and nothing more comes."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        fds = list(self._outputs)
        for fd in fds:
            loop.add_reader(fd, _done, ready)
        try:
            await asyncio.wait((ready, self._ended), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                await asyncio.wait((ready,), timeout=DRAIN_S)
            return ready.done()
        finally:
            for fd in fds:
                loop.remove_reader(fd)

    async def _ready(self, fd: int, add: Callable[..., object], *, writing: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        add(fd, _done, ready)
        try:
            # A terminal whose program is gone is never writable again.
            await asyncio.wait((ready, self._ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if writing:
                loop.remove_writer(fd)


def _done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _forget(fd: int) -> None:
    loop = asyncio.get_running_loop()
    loop.remove_reader(fd)
    loop.remove_writer(fd)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Raises OSError."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


async def begin(directory: str, key: RunKey, request: ExecRequest, identity: dict[str, object] | None) -> ProcessExec:
    """Start a program by the keeper of a directory. Raises DriverError."""
    theirs: list[int] = []
    ours: list[int] = []
    try:
        if request.terminal:
            master, slave = os.openpty()
            ours.append(master)
            theirs.append(slave)
            set_size(master, request.rows, request.columns)
            handed, source, outputs = [slave, slave, slave], master, {master: "stdout"}
        else:
            (input_, source), (stdout, output), (stderr, errors) = os.pipe(), os.pipe(), os.pipe()
            outputs = {stdout: "stdout", stderr: "stderr"}
            ours += [source, stdout, stderr]
            handed = [input_, output, errors]
            theirs += handed
        for fd in ours:
            os.set_blocking(fd, False)
        body = _packed(
            {
                "id": 2,
                "op": "exec",
                "instance": key.instance,
                "attempt": key.attempt,
                "command": request.command,
                "environment": request.environment,
                "working_directory": request.working_directory,
                "identity": identity,
                "terminal": request.terminal,
            }
        )
        connection, decoder, pid = await _asked(directory, body, handed)
    except BaseException as error:
        for fd in ours:
            os.close(fd)
        if isinstance(error, OSError):
            raise DriverError(f"exec: {error}", cause="resources", permanent=False) from error
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    connection.setblocking(False)
    return ProcessExec(connection, decoder, pid, source, outputs, request.terminal)


async def _asked(directory: str, body: bytes, handed: list[int]) -> tuple[socket.socket, protocol.Decoder, int]:
    """As `_ask`, in a thread with descriptors of its own: one that is not waited for any more must not hand over what
    else has their numbers by then, and the talk that it begins is ended."""
    theirs = [os.dup(fd) for fd in handed]

    def ask() -> tuple[socket.socket, protocol.Decoder, int]:
        try:
            return _ask(directory, body, theirs)
        finally:
            for fd in theirs:
                os.close(fd)

    asking = asyncio.get_running_loop().run_in_executor(None, ask)
    try:
        return await asyncio.shield(asking)
    except asyncio.CancelledError:
        asking.add_done_callback(_hang_up)
        raise


def _hang_up(asking: "asyncio.Future[tuple[socket.socket, protocol.Decoder, int]]") -> None:
    if not asking.cancelled() and asking.exception() is None:
        asking.result()[0].close()


def _packed(message: dict[str, object]) -> bytes:
    """Raises DriverError."""
    try:
        body = msgspec.json.encode(message)
    except UnicodeEncodeError as error:
        raise DriverError(f"a text that is not Unicode: {error}", cause="invalid", permanent=True) from None
    if len(body) > protocol.MAX_MESSAGE:
        message_text = f"{len(body)} bytes are more than the {protocol.MAX_MESSAGE} that fit a request"
        raise DriverError(message_text, cause="command-size", permanent=True)
    return len(body).to_bytes(4, "big") + body


def _ask(directory: str, body: bytes, descriptors: list[int]) -> tuple[socket.socket, protocol.Decoder, int]:
    """Greet the keeper, hand it the descriptors with the request, await the answer; blocks. Raises DriverError."""
    try:
        connection = connect(directory)
    except KeeperUnavailable as error:
        raise _unavailable(str(error)) from None
    try:
        connection.settimeout(ANSWER_S)
        decoder = protocol.Decoder()
        connection.sendall(_packed({"id": 1, "op": "hello", "protocol": protocol.VERSION}))
        _answer(connection, decoder)
        sent = socket.send_fds(connection, [body], descriptors)
        connection.sendall(body[sent:])
        told = _answer(connection, decoder)
        return connection, decoder, told.pid
    except (OSError, protocol.ProtocolError, msgspec.ValidationError) as error:
        connection.close()
        raise _unavailable(str(error) or "no answer in time") from None
    except BaseException:
        connection.close()
        raise


def _answer(connection: socket.socket, decoder: protocol.Decoder) -> _Begun:
    while True:
        while (message := decoder.next()) is None:
            data = connection.recv(CHUNK)
            if not data:
                raise _unavailable("it has hung up")
            decoder.feed(data)
        told = msgspec.convert(message, _Message)
        if told.error is not None:
            raise DriverError(told.error.message, cause=told.error.cause, permanent=told.error.permanent)
        if told.ok is not None:
            return told.ok
