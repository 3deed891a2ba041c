"""Programs in instances and connections to their ports, over WebSockets.

Binary messages are data: to a program its input, from it one byte that says which stream (1 stdout, 2 stderr), then the
output; of a port the bytes as they are, both ways. Text messages are JSON objects with one field. From the client:
`exec` (first, what to run; not for a port), `resize` ({rows, columns}), `signal` (a number), `end` (no more data) and
`taken` (bytes of data dealt with). From here: `started`, `taken`, `end`; last `exited` ({code, signal}) or `problem`.
Each side has `tunnels.WINDOW` bytes of data under way at most that the other has not said it has dealt with.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from omnitide.api.answering import problem_response
from omnitide.api.reading import read_request
from omnitide.api.rest import Desk, peer_of
from omnitide.api.stream_sockets import CLOSE_CODES, SEND_TIME_S, SUBPROTOCOL, check_origin, socket_principal
from omnitide.model.problem import problem
from omnitide.operations import reaching as rc
from omnitide.operations import tunnels as tn
from omnitide.operations.failures import Failed, failed
from omnitide.operations.operation import Context
from omnitide.operations.perform import require_permission
from omnitide.telemetry import logs

FIRST_MESSAGE_S: Final = 10.0
"""For the client to say what is to be run."""
_STREAMS: Final = {"stdout": b"\x01", "stderr": b"\x02"}

_log = logs.get(__name__)


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text message of a client: one of these."""

    exec: tn.Exec | None = None
    resize: tn.Resize | None = None
    signal: int = 0
    end: bool = False
    taken: int = 0


class _Caller(msgspec.Struct, frozen=True):
    context: Context
    instance: str
    port: str = ""


class TunnelSockets:
    """All of one kind: `rc.EXEC` or `rc.FORWARD`."""

    def __init__(self, declaration: Any, desk: Desk) -> None:
        """`Any`: the declarations' inputs differ."""
        self._declaration = declaration
        self._desk = desk
        self._open = 0

    def routes(self) -> list[BaseRoute]:
        path, name = self._declaration.path, self._declaration.name
        return [WebSocketRoute(path, self._endpoint, name=name), Route(path, self._no_socket, methods=["GET"])]

    async def _no_socket(self, request: Request) -> Response:
        """Whoever is refused a WebSocket in a browser hears no reason, and asks so: it is refused for the same one."""

        async def handle(request: Request) -> Response:
            await self._admit(request, self._desk.principal(request, self._declaration))
            raise failed("upgrade-required", "this is reached over a WebSocket", hint="the SDK and the CLI do that")

        return await self._desk.answer(request, handle)

    async def _endpoint(self, socket: WebSocket) -> None:
        request = Request({**socket.scope, "type": "http", "method": "GET"})
        correlation = self._desk.correlation(request)
        with logs.bound(correlation=correlation):
            try:
                check_origin(request)
                caller = await self._admit(request, socket_principal(self._desk, request))
            except Failed as failure:
                await self._deny(socket, request, failure)
                return
            self._open += 1
            try:
                if caller.port:
                    await self._forward(socket, request, caller)
                else:
                    await self._exec(socket, caller)
            finally:
                self._open -= 1

    async def _admit(self, request: Request, principal: str) -> _Caller:
        """Raises Failed."""
        question = await read_request(request, self._declaration, 0)
        asked: Any = question.value
        limit = self._desk.runtime.limits().streams
        if self._open >= limit:
            raise failed("busy", f"{limit} such streams are open, the most there can be")
        context = Context(principal=principal, correlation=self._desk.correlation(request), peer=peer_of(request))
        port = getattr(asked, "port", "")
        fields = {"port": port} if port else {}
        rc.prepare(self._declaration, self._desk.runtime, context, asked.instance, **fields)
        return _Caller(context, asked.instance, port)

    async def _deny(self, socket: WebSocket, request: Request, failure: Failed) -> None:
        revision = self._desk.runtime.committed().revision
        correlation, path = self._desk.correlation(request), request.url.path
        await socket.send_denial_response(problem_response(failure.problem, correlation, path, revision=revision))

    async def _forward(self, socket: WebSocket, request: Request, caller: _Caller) -> None:
        """A connection that cannot be made is an answer with its reason."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                opening = self._desk.runtime.reach(caller.instance, tn.Forward(caller.port))
                reached = await stack.enter_async_context(opening)
            except Exception as error:
                await self._deny(socket, request, _failure(error))
                return
            await _accept(socket)
            await self._carry(socket, caller, reached)

    async def _exec(self, socket: WebSocket, caller: _Caller) -> None:
        await _accept(socket)
        async with contextlib.AsyncExitStack() as stack:
            try:
                wanted = await _first(socket)
                _log.info("a program runs in an instance", instance=caller.instance, command=_shown(wanted))
                reached = await stack.enter_async_context(self._desk.runtime.reach(caller.instance, wanted))
            except WebSocketDisconnect:
                return
            except Exception as error:
                await _tell_failure(socket, _failure(error))
                return
            await self._carry(socket, caller, reached)

    async def _carry(self, socket: WebSocket, caller: _Caller, reached: tn.Reached) -> None:
        """Both directions, until either end has had enough."""

        def allowed() -> None:
            require_permission(self._declaration, self._desk.runtime, caller.context)

        outwards = asyncio.ensure_future(_outwards(socket, reached, allowed))
        inwards = asyncio.ensure_future(_inwards(socket, reached, allowed))
        try:
            await asyncio.wait((outwards, inwards), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (outwards, inwards):
                task.cancel()
            results = await asyncio.gather(outwards, inwards, return_exceptions=True)
        errors = [one for one in results if isinstance(one, Exception)]
        if any(isinstance(one, WebSocketDisconnect | TimeoutError) for one in errors):
            return
        if errors:
            await _tell_failure(socket, _failure(errors[0]))
        else:
            await _quietly(socket.close(1000))


async def _accept(socket: WebSocket) -> None:
    await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)


async def _first(socket: WebSocket) -> tn.Exec:
    """Raises Failed, WebSocketDisconnect."""
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            message = await socket.receive()
    except TimeoutError:
        raise failed("timeout", f"what to run was not said within {FIRST_MESSAGE_S:g} s") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    told = _read(message.get("text") or "")
    if told.exec is None:
        raise failed("malformed", 'the first message says what to run: {"exec": {"command": [...]}}')
    return told.exec


def _read(text: str) -> _Told:
    """Raises Failed."""
    try:
        return msgspec.json.decode(text, type=_Told)
    except msgspec.MsgspecError as error:
        raise failed("malformed", f"a message cannot be read: {error}") from None


async def _outwards(socket: WebSocket, reached: tn.Reached, allowed: Callable[[], None]) -> None:
    """From the client to the node. Raises WebSocketDisconnect when the client leaves, Failed, ReachFailed."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        allowed()  # a token that was revoked or has expired reaches nothing more
        data = message.get("bytes")
        if data is not None:
            for start in range(0, len(data), tn.CHUNK):
                await reached.send(tn.Data(data[start : start + tn.CHUNK]))
            continue
        told = _read(message.get("text") or "")
        if told.resize is not None:
            await reached.send(told.resize)
        if 1 <= told.signal <= 64:
            await reached.send(tn.Signal(told.signal))
        if told.taken > 0:
            await reached.send(tn.Taken(min(told.taken, tn.WINDOW)))
        if told.end:
            await reached.send(tn.EndOfData())


async def _inwards(socket: WebSocket, reached: tn.Reached, allowed: Callable[[], None]) -> None:
    """From the node to the client, until the last frame. Raises Failed, ReachFailed, TimeoutError."""
    await _say(socket, {"started": True})
    while True:
        frame = await reached.receive()
        allowed()
        match frame:
            case tn.Data(data, stream):
                await _in_time(socket.send_bytes(_STREAMS.get(stream, b"") + data))
            case tn.Taken(number):
                await _say(socket, {"taken": number})
            case tn.EndOfData():
                await _say(socket, {"end": True})
            case tn.Exited(code, signal):
                await _say(socket, {"exited": {"code": code, "signal": signal}})
                return
            case tn.Ended():
                return


async def _say(socket: WebSocket, message: dict[str, object]) -> None:
    await _in_time(socket.send_text(msgspec.json.encode(message).decode()))


async def _in_time(sending: Awaitable[None]) -> None:
    """Credit sees to it that a client which keeps the rules is never waited for; one that does not is left."""
    async with asyncio.timeout(SEND_TIME_S):
        await sending


async def _tell_failure(socket: WebSocket, failure: Failed) -> None:
    cause = failure.problem
    await _quietly(_say(socket, {"problem": msgspec.to_builtins(cause)}))
    await _quietly(socket.close(CLOSE_CODES.get(cause.code, 1011), cause.code))


async def _quietly(saying: Awaitable[None]) -> None:
    """A client that has left hears nothing."""
    with contextlib.suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
        await saying


def _failure(error: Exception) -> Failed:
    failure = rc.problem_of(error)
    if failure is None:
        _log.error("a tunnel failed", error=repr(error))
        return Failed(problem("internal", "something went wrong in the control plane"))
    return failure


def _shown(wanted: tn.Exec) -> str:
    """The program alone: its arguments may hold what is secret."""
    return wanted.command[0][:200]
