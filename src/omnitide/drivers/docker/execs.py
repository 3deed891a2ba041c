"""A further program in a running container: the engine's hijacked connection as an `Exec`."""

import asyncio
import contextlib
import os
import re
import signal as signals
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import aiodocker
import aiohttp
import msgspec
from aiodocker.stream import Message, Stream
from yarl import URL

from omnitide.drivers.docker.answers import ExecState
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused, unavailable
from omnitide.drivers.protocol import DriverError
from omnitide.drivers.streams import Exec, ExecEnded, ExecOutput, ExecRequest

MAX_PIECE: Final = 64 << 10
BY_SIGNAL: Final = 128
NOT_EXECUTED: Final = (126, 127)
STDOUT: Final = 1
STDERR: Final = 2
BEGIN_POLL: Final = 0.02
BEGIN_DEADLINE: Final = 10.0
"""For the engine to have begun the program or to say why not."""
_NO_USER = re.compile(rb"unable to find (user|group)|no matching entries in (passwd|group)|user: unknown user")
_CAUSES: Final = (
    ("user", _NO_USER),
    ("working-directory", re.compile(rb"chdir to cwd")),
    ("permission", re.compile(rb"permission denied|is a directory")),
    ("command-format", re.compile(rb"exec format error")),
    ("command-size", re.compile(rb"argument list too long")),
    ("command-not-found", re.compile(rb"no such file|not found|not a directory")),
)
"""By what the engine says. Its exit code alone does not tell: older ones have 126 for what is not there."""
_REFUSED_BY_DOCKER = re.compile(rb"OCI runtime exec failed: |unable to find (user|group) ")
_REFUSED_BY_PODMAN = re.compile(
    rb"Error: [^\s:]+: .+: OCI "
    rb"(runtime attempted to invoke a command that was not found|permission denied|runtime error)\n"
    rb"(Error: read unixpacket .*\n)?\Z"
)
"""What an engine says in place of the program, whatever its runtime is. A program may say the same."""
_PODMAN_LOST_IT = re.compile(rb"Error: read unixpacket ")
"""The connection to what it could not execute."""


class _Id(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="Id")


class _Stream(Stream):
    """aiodocker's, which cannot end the input and keep the output."""

    def end_input(self) -> None:
        connection = self._resp.connection if self._resp is not None else None
        transport = connection.transport if connection is not None else None
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()


async def open_exec(engine: Engine, container: str, request: ExecRequest) -> Exec:
    """Raises DriverError."""
    asked = {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": request.terminal,
        "Cmd": list(request.command),
        "Env": [f"{key}={value}" for key, value in request.environment.items()],
        **({"WorkingDir": request.working_directory} if request.working_directory else {}),
        **({"User": request.user} if request.user else {}),
    }
    try:
        made = await engine.call("POST", f"containers/{container}/exec", _Id, body=asked)
    except EngineRefused as error:
        raise _refused(error) from None
    program = DockerExec(engine, made.id, request.terminal)
    try:
        await program.begin(request.rows, request.columns)
    except BaseException:
        await program.close()
        raise
    return program


def _refused(error: EngineRefused) -> DriverError:
    if _NO_USER.search(str(error).encode()):
        return DriverError(str(error), cause="user", permanent=True)
    not_running = error.status in (404, 409)
    return DriverError(str(error), cause="not-running" if not_running else "invalid", permanent=not not_running)


def _cause(said: str, code: int | None) -> str:
    for cause, words in _CAUSES:
        if words.search(said.encode()):
            return cause
    return "command-not-found" if code == NOT_EXECUTED[1] else "permission"


class DockerExec:
    """See `drivers.streams.Exec`."""

    def __init__(self, engine: Engine, name: str, terminal: bool) -> None:
        self._engine = engine
        self._name = name
        self._terminal = terminal

        async def setup() -> tuple[URL, bytes, bool]:
            return URL(f"exec/{name}/start"), msgspec.json.encode({"Detach": False, "Tty": terminal}), terminal

        self._stream = _Stream(engine.client, setup)
        self._ahead: list[asyncio.Task[Message | None]] = []
        """Pieces read, or being read, before anybody asked for them, in their order."""
        self._held: list[ExecOutput] = []
        self._ended: ExecEnded | None = None
        self._closed = False

    async def begin(self, rows: int, columns: int) -> None:
        """Until the program runs, or has run. Raises DriverError, e.g. if there is no such program."""
        first = self._read_ahead()
        begun = False
        async with _in_time():
            while not begun and not first.done():
                # It has a number while it runs, with Docker also when it is over.
                begun = (await self._state()).pid > 0
                if not begun:
                    await asyncio.wait((first,), timeout=BEGIN_POLL)
        if first.done():
            message = first.result()
            if message is not None and not begun:
                await self._check(message)
        if self._terminal:
            await self.resize(rows, columns)

    async def _check(self, message: Message) -> None:
        """Of the first that came. Raises DriverError if these are the words of the engine, which has executed nothing:
        by then the program is over for it, and has no number."""
        podman = self._engine.version.podman
        words, stream = (_REFUSED_BY_PODMAN, STDERR) if podman else (_REFUSED_BY_DOCKER, STDOUT)
        if not words.match(message.data) or not (self._terminal or message.stream == stream):
            return
        state = await self._state()
        if state.running or state.pid or state.exit_code not in NOT_EXECUTED:
            return
        # What ran and is over has no number with Podman either, but may have said more.
        if not podman or await self._has_said_all():
            said = message.data.decode(errors="replace").strip()
            raise DriverError(said, cause=_cause(said, state.exit_code), permanent=True)

    async def _has_said_all(self) -> bool:
        """Of a program that is over: whether nothing comes any more but what Podman says of itself."""
        while True:
            following = self._read_ahead()
            await asyncio.wait((following,), timeout=BEGIN_DEADLINE)
            message = following.result() if following.done() else Message(STDOUT, b"")
            if message is None or not _PODMAN_LOST_IT.match(message.data):
                return message is None

    async def _over(self) -> ExecState:
        async with _in_time():
            while (state := await self._state()).running or state.exit_code is None:
                await asyncio.sleep(BEGIN_POLL)
        return state

    async def _state(self) -> ExecState:
        return await self._engine.call("GET", f"exec/{self._name}/json", ExecState)

    def _read_ahead(self) -> "asyncio.Task[Message | None]":
        self._ahead.append(asyncio.ensure_future(self._read()))
        return self._ahead[-1]

    async def _read(self) -> Message | None:
        try:
            return await self._stream.read_out()
        except aiodocker.DockerError as error:
            raise _refused(EngineRefused(error.status, error.message)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise unavailable(f"the engine has hung up: {error}") from None

    async def receive(self) -> ExecOutput | ExecEnded:
        if self._held:
            return self._held.pop(0)
        if self._ended is not None:
            return self._ended
        message: Message | None
        if self._ahead:
            message = await asyncio.shield(self._ahead[0])
            del self._ahead[0]
        else:
            message = await self._read()
        if message is None:
            state = await self._over()
            self._ended = _ended(state.exit_code or 0)
            return self._ended
        stream = "stderr" if message.stream == STDERR else "stdout"
        data = message.data
        self._held = [ExecOutput(stream, data[at : at + MAX_PIECE]) for at in range(MAX_PIECE, len(data), MAX_PIECE)]
        return ExecOutput(stream, data[:MAX_PIECE])

    async def write(self, data: bytes) -> None:
        # What has ended takes nothing.
        with contextlib.suppress(aiodocker.DockerError, aiohttp.ClientError, OSError, RuntimeError, AssertionError):
            await self._stream.write_in(data)

    async def end_input(self) -> None:
        self._stream.end_input()

    async def resize(self, rows: int, columns: int) -> None:
        # Of a program that has just ended nobody minds the size.
        with contextlib.suppress(EngineRefused):
            await self._engine.do("POST", f"exec/{self._name}/resize", params={"h": str(rows), "w": str(columns)})

    async def signal(self, number: int) -> None:
        # The engine passes output on before it knows the number of the process.
        async with _in_time():
            while (state := await self._state()).running and not state.pid:
                await asyncio.sleep(BEGIN_POLL)
        if not state.running:
            raise DriverError("the program has ended", cause="not-running", permanent=True)
        if not await asyncio.to_thread(_is_ours, state):
            message = "the engine has no way to signal a further program, and its processes are not of this machine"
            raise DriverError(message, cause="unsupported", permanent=True)
        try:
            os.kill(state.pid, number)
        except ProcessLookupError:
            raise DriverError("the program has ended", cause="not-running", permanent=True) from None
        except OSError as error:
            raise DriverError(f"signalling it: {error}", cause="permission", permanent=True) from None

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._ended is None:
            with contextlib.suppress(DriverError):
                await self.signal(signals.SIGKILL)
        for reading in self._ahead:
            reading.cancel()
        await asyncio.gather(*self._ahead, return_exceptions=True)
        with contextlib.suppress(aiohttp.ClientError, OSError, AssertionError):
            await self._stream.close()


@contextlib.asynccontextmanager
async def _in_time() -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(BEGIN_DEADLINE):
            yield
    except TimeoutError:
        raise unavailable(f"the engine did not say within {BEGIN_DEADLINE:g} s what became of the program") from None


def _ended(code: int) -> ExecEnded:
    number = code - BY_SIGNAL
    return ExecEnded(None, number) if number in signals.valid_signals() else ExecEnded(code)


def _is_ours(state: ExecState) -> bool:
    """Whether the engine's number is that of a process of this machine: it is in the container's control group."""
    with contextlib.suppress(OSError):
        return state.container_id != "" and state.container_id in Path(f"/proc/{state.pid}/cgroup").read_text()
    return False
