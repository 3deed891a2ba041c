"""Files of instances over HTTP: `GET` gives a tar stream, `PUT` unpacks one."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from omnitide.api.answering import REVISION_HEADER, plain_headers
from omnitide.api.log_streams import SEND_TIME_S
from omnitide.api.reading import read_request
from omnitide.api.rest import Desk, peer_of
from omnitide.operations import reaching as rc
from omnitide.operations import tunnels as tn
from omnitide.operations.failures import Failed, failed
from omnitide.operations.operation import Context
from omnitide.telemetry import logs

TAR: Final = "application/x-tar"
RECEIVE_TIME_S: Final = 60.0
"""For the next piece of a tar stream that is sent here."""
FINISH_TIME_S: Final = 600.0
"""For the node to be done once it has all of it."""

_log = logs.get(__name__)


class FileStreams:
    """Both directions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open = 0

    def route(self) -> Route:
        return Route(rc.ARCHIVE.path, self._endpoint, methods=["GET", "PUT"], name="instances.files")

    async def _endpoint(self, request: Request) -> Response:
        return await self._desk.answer(request, self._take if request.method == "PUT" else self._give)

    async def _admit(self, request: Request, declaration: Any) -> tuple[Context, Any]:
        """Who wants what. `Any`: the declarations' inputs differ. Raises Failed."""
        principal = self._desk.principal(request, declaration)
        asked: Any = (await read_request(request, declaration, 0)).value
        limit = self._desk.runtime.limits().streams
        if self._open >= limit:
            raise failed("busy", f"{limit} copies are under way, the most there can be")
        context = Context(principal=principal, correlation=self._desk.correlation(request), peer=peer_of(request))
        rc.prepare(declaration, self._desk.runtime, context, asked.instance, path=asked.path)
        return context, asked

    async def _give(self, request: Request) -> Response:
        if request.method == "HEAD":
            raise failed("method-not-allowed", "a tar stream is made as it is read: GET it")
        context, asked = await self._admit(request, rc.ARCHIVE)
        stack = contextlib.AsyncExitStack()
        # From here on: while its way is opened, further ones come.
        self._open += 1
        try:
            reached = await _entered(stack, self._desk.runtime.reach(asked.instance, tn.Archive(asked.path)))
        except BaseException:
            self._closed()
            raise
        headers = plain_headers(context.correlation)
        headers[REVISION_HEADER] = str(self._desk.runtime.committed().revision)
        return _TarResponse(reached, stack, headers, self._closed)

    async def _take(self, request: Request) -> Response:
        media_type = request.headers.get("content-type", TAR).partition(";")[0].strip().lower()
        if media_type not in (TAR, "application/octet-stream"):
            raise failed("unsupported-media-type", f"{media_type!r} is no tar stream", hint=TAR)
        context, asked = await self._admit(request, rc.EXTRACT)
        self._open += 1
        try:
            async with contextlib.AsyncExitStack() as stack:
                reached = await _entered(stack, self._desk.runtime.reach(asked.instance, tn.Extract(asked.path)))
                await _send_body(request, reached)
        except Exception as error:
            raise _failure(error) from error
        finally:
            self._closed()
        headers = plain_headers(context.correlation)
        headers[REVISION_HEADER] = str(self._desk.runtime.committed().revision)
        return Response(status_code=204, headers=headers)

    def _closed(self) -> None:
        self._open -= 1


async def _entered(stack: contextlib.AsyncExitStack, opening: tn.Opening) -> tn.Reached:
    """Raises Failed."""
    try:
        return await stack.enter_async_context(opening)
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> Exception:
    if isinstance(error, ClientDisconnect):
        return failed("malformed", "the connection broke before the tar stream was whole")
    if isinstance(error, TimeoutError):
        return failed("timeout", "the copy stood still for too long and was ended")
    return rc.problem_of(error) or error


async def _send_body(request: Request, reached: tn.Reached) -> None:
    """All of it to the node, no faster than it is unpacked, and its verdict. Raises what broke."""
    credit = tn.WINDOW
    more = asyncio.Event()

    async def send() -> None:
        nonlocal credit
        body = aiter(request.stream())
        while True:
            async with asyncio.timeout(RECEIVE_TIME_S):
                piece = await anext(body, None)
            if piece is None:
                break
            while piece:
                while not credit:
                    more.clear()
                    await more.wait()
                size = min(credit, tn.CHUNK, len(piece))
                credit -= size
                await reached.send(tn.Data(bytes(piece[:size])))
                piece = piece[size:]
        await reached.send(tn.EndOfData())

    async def hear() -> None:
        nonlocal credit
        while True:
            frame = await reached.receive()
            if isinstance(frame, tn.Taken):
                credit = min(tn.WINDOW, credit + frame.bytes)
                more.set()
            elif isinstance(frame, tn.Ended):
                return

    sending, hearing = asyncio.ensure_future(send()), asyncio.ensure_future(hear())
    try:
        await asyncio.wait((sending, hearing), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
            async with asyncio.timeout(FINISH_TIME_S):
                await hearing
        hearing.result()
    finally:
        for task in (sending, hearing):
            task.cancel()
        await asyncio.gather(sending, hearing, return_exceptions=True)


class _TarResponse(Response):
    """Streams until the end, until the reader leaves, or until something fails: then the connection breaks off before
    its last chunk, so that nobody takes it for whole."""

    def __init__(
        self,
        reached: tn.Reached,
        stack: contextlib.AsyncExitStack,
        headers: dict[str, str],
        closed: Callable[[], None],
    ) -> None:
        super().__init__(None, 200, headers, TAR)
        del self.headers["content-length"]
        self._reached = reached
        self._stack = stack
        self._on_closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await self._stack.aclose()
            self._on_closed()
        if sending.done() and not sending.cancelled():
            error = sending.exception()
            if isinstance(error, TimeoutError) or (error is not None and rc.problem_of(cast("Exception", error))):
                _log.warning("a copy out of an instance broke off", error=str(error) or "its reader stood still")
                raise _BrokenOff from error
            sending.result()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while True:
            frame = await self._reached.receive()
            if isinstance(frame, tn.Data):
                async with asyncio.timeout(SEND_TIME_S):
                    await send({"type": "http.response.body", "body": frame.data, "more_body": True})
                await self._reached.send(tn.Taken(len(frame.data)))
            elif isinstance(frame, tn.Ended):
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _BrokenOff(Failed):
    """uvicorn then closes the connection without the last chunk."""

    def __init__(self) -> None:
        super().__init__(failed("reach-failed", "the copy broke off").problem)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
