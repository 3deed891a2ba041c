"""Streams over WebSockets: who may open one, sending until either side has enough, and how it closes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from omnitide.api.answering import problem_response
from omnitide.api.protocols import SEND_NOW_KEY
from omnitide.api.reading import read_request
from omnitide.api.rest import Desk, peer_of, recognised
from omnitide.fabric.authorize import authorize
from omnitide.model.problem import Problem, problem
from omnitide.operations.closing import closing
from omnitide.operations.failures import Failed, failed, from_exception
from omnitide.operations.fanout import Direct, SizedFrame
from omnitide.operations.operation import AnyStream
from omnitide.operations.runtime import Runtime
from omnitide.telemetry import logs

SUBPROTOCOL: Final = "omnitide.v1"
SEND_TIME_S: Final = 20.0
"""A watcher that does not take a frame within this is given up; its queue is full by then or soon."""

CLOSE_CODES: Final = {
    "trimmed": 4410,
    "lagged": 4408,
    "not-serving": 1012,
    "unauthenticated": 4401,
    "forbidden": 4403,
    "busy": 1013,
    "unknown-revision": 4409,
}
"""By a problem's code. 1012: service restart. Others are 1011."""

MAX_REASON_BYTES: Final = 123
"""A WebSocket's close frame holds no more."""

_log = logs.get(__name__)

F = TypeVar("F", bound=SizedFrame)


class _Handed(Generic[F]):
    """Frames that are being handed out: what is the same for all connections that are sent them."""

    __slots__ = ("admitted", "frames", "message")

    def __init__(self, frames: tuple[F, ...], message: bytes) -> None:
        self.frames = frames
        self.message = message
        """All of them, as a connection carries them."""
        self.admitted: set[str] = set()
        """Principals that were found to be allowed to watch."""


class StreamSockets(Generic[F]):
    """One stream of the registry over WebSockets: frames in text messages, until either side has had enough."""

    def __init__(
        self,
        operation: AnyStream,
        desk: Desk,
        *,
        frames: Callable[[Runtime, Any, Direct[F] | None], AsyncIterator[F]],
        encode: Callable[[F], str],
        message: Callable[[F], bytes],
        check: Callable[[Any], object] | None = None,
        hint: str,
    ) -> None:
        """`frames`: the stream, by what was asked for (`Any`: the operation's input). `encode`: a frame's text;
        `message`: the same as a WebSocket carries it, made once for all. `check`: raises Failed for what cannot be
        asked, while there is still an answer that says why. `hint`: for who comes without a WebSocket."""
        self._operation = operation
        self._desk = desk
        self._frames = frames
        self._encode = encode
        self._message = message
        self._handed = _Handed[F]((), b"")
        self._check = check
        self._hint = hint

    def routes(self) -> list[BaseRoute]:
        path, name = self._operation.path, self._operation.name
        return [WebSocketRoute(path, self._endpoint, name=name), Route(path, self._no_socket, methods=["GET"])]

    async def _no_socket(self, request: Request) -> Response:
        async def handle(request: Request) -> Response:
            self._desk.principal(request, self._operation)
            raise failed("upgrade-required", "this is a stream over a WebSocket", hint=self._hint)

        return await self._desk.answer(request, handle)

    async def _endpoint(self, socket: WebSocket) -> None:
        # What stands before the stream is read as of any other request; only its answer is another.
        request = Request({**socket.scope, "type": "http", "method": "GET"})
        correlation = self._desk.correlation(request)
        with logs.bound(correlation=correlation):
            try:
                principal, wanted = await self._open(request)
            except Failed as failure:
                revision = self._desk.runtime.committed().revision
                path = request.url.path
                await socket.send_denial_response(
                    problem_response(failure.problem, correlation, path, revision=revision)
                )
                return
            await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)
            await self._serve(socket, principal, wanted)

    async def _open(self, request: Request) -> tuple[str, Any]:
        """Who watches what. Raises Failed."""
        check_origin(request)
        principal = socket_principal(self._desk, request)
        question = await read_request(request, self._operation, 0)
        self._authorize(principal)
        if self._check is not None:
            self._check(question.value)
        return principal, question.value

    def _refusal(self, principal: str) -> str:
        """Why it may not watch; empty: it may."""
        runtime = self._desk.runtime
        return authorize(runtime.committed(), principal, self._operation.permission, runtime.now_ms())

    def _authorize(self, principal: str) -> None:
        refusal = self._refusal(principal)
        if refusal:
            raise failed("forbidden", refusal)

    async def _serve(self, socket: WebSocket, principal: str, wanted: Any) -> None:
        sending = asyncio.ensure_future(self._send_all(socket, principal, wanted))
        leaving = asyncio.ensure_future(_until_gone(socket))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            outcomes = await asyncio.gather(sending, leaving, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                _log.error("a stream broke", stream=self._operation.name, error=repr(outcome))

    def _direct(self, socket: WebSocket, principal: str) -> Direct[F] | None:
        """The way past Starlette and uvicorn, which cost more than a short message does. None on another server."""
        send_now: Callable[[bytes], bool] | None = socket.scope.get(SEND_NOW_KEY)
        if send_now is None:
            return None

        def direct(frames: tuple[F, ...]) -> bool:
            handed = self._handed
            if handed.frames is not frames:
                handed = self._handed = _Handed(frames, b"".join(map(self._message, frames)))
            if principal not in handed.admitted:
                if self._refusal(principal):
                    return False
                handed.admitted.add(principal)
            return send_now(handed.message)

        return direct

    async def _send_all(self, socket: WebSocket, principal: str, wanted: Any) -> None:
        try:
            direct = self._direct(socket, principal)
            async with closing(self._frames(self._desk.runtime, wanted, direct)) as frames:
                async for frame in frames:
                    self._authorize(principal)  # a token that was revoked or has expired sees nothing more
                    text = self._encode(frame)
                    async with asyncio.timeout(SEND_TIME_S):
                        await socket.send_text(text)
            async with asyncio.timeout(SEND_TIME_S):
                await socket.close()
        except TimeoutError:
            _log.info("a watcher stood still and was left", stream=self._operation.name)
        except WebSocketDisconnect:
            return
        except Exception as error:
            failure = from_exception(error)
            if failure is None:
                _log.exception("a stream failed", stream=self._operation.name)
                failure = Failed(problem("internal", "something went wrong in the control plane"))
            await _close(socket, failure.problem)


def nothing_else(desk: Desk, path: str) -> BaseRoute:
    """The route behind all others: a WebSocket that nothing answers is told so as any other request is.

    `path`: of the one that there is.
    """

    async def endpoint(socket: WebSocket) -> None:
        request = Request({**socket.scope, "type": "http", "method": "GET"})
        asked = request.url.path
        cause = problem("no-route", f"there is no WebSocket at {asked}", hint=f"the stream of events is at {path}")
        revision = desk.runtime.committed().revision
        await socket.send_denial_response(problem_response(cause, desk.correlation(request), asked, revision=revision))

    return WebSocketRoute("/{path:path}", endpoint)


def socket_principal(desk: Desk, request: Request) -> str:
    """Who opens a WebSocket, by header, subprotocol or session. Raises Failed."""
    return recognised(request, desk.callers.of_socket(request, peer_of(request)))


def check_origin(request: Request) -> None:
    """A page of another site must not ride on a token that its visitor's browser holds. Programs send no Origin."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.headers.get("host", "").lower():
        raise failed("forbidden", "WebSockets are opened by pages of this host or by programs only")


async def _until_gone(socket: WebSocket) -> None:
    """Watchers say nothing; what one says all the same is dropped."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(socket: WebSocket, cause: Problem) -> None:
    code = CLOSE_CODES.get(cause.code, 1011)
    told: dict[str, object] = {"code": cause.code}
    if cause.code in ("lagged", "unknown-revision"):
        told["resume"] = cause.resume_revision
    if cause.code == "trimmed":
        told["first"] = cause.first_revision
    reason = msgspec.json.encode(told).decode()
    async with asyncio.timeout(SEND_TIME_S):
        await socket.close(code, reason[:MAX_REASON_BYTES])
