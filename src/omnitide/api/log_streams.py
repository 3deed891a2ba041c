"""The output of instances over HTTP: one JSON object a line, or text; as it comes, for as long as is asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from omnitide.api.answering import REVISION_HEADER, plain_headers
from omnitide.api.reading import read_request
from omnitide.api.rest import Desk
from omnitide.model.happenings import LogChunk, OutputLine
from omnitide.operations.failures import Failed, failed
from omnitide.operations.operation import AnyStream
from omnitide.operations.perform import stream
from omnitide.telemetry import logs

NDJSON: Final = "application/x-ndjson"
TEXT: Final = "text/plain"
FIRST_WAIT_S: Final = 0.5
"""If nothing has come by then, the answer begins without it; until then a failure is still a problem of its own."""
SEND_TIME_S: Final = 30.0
"""How long a reader may let the stream wait before it is given up."""

_log = logs.get(__name__)


Piece = LogChunk | OutputLine


class LogStreams:
    """All streams of one of the operations over HTTP."""

    def __init__(self, operation: AnyStream, desk: Desk) -> None:
        self._operation = operation
        self._desk = desk
        self._open = 0

    def route(self) -> Route:
        return Route(self._operation.path, self._endpoint, methods=["GET"], name=self._operation.name)

    async def _endpoint(self, request: Request) -> Response:
        return await self._desk.answer(request, self._handle)

    async def _handle(self, request: Request) -> Response:
        if request.method == "HEAD":
            raise failed("method-not-allowed", "output has no end that a HEAD could tell of")
        desk = self._desk
        principal = desk.principal(request, self._operation)
        form = _form(request)
        question = await read_request(request, self._operation, 0)
        limit = desk.runtime.limits().streams
        if self._open >= limit:
            raise failed("busy", f"{limit} log streams are open, the most there can be")
        context = desk.context(request, principal, question)
        chunks = stream(self._operation, desk.runtime, context, question.value)
        self._open += 1
        first: asyncio.Task[Piece | None] = asyncio.ensure_future(anext(chunks, None))
        try:
            done, _ = await asyncio.wait([first], timeout=FIRST_WAIT_S)
            if done:
                first.result()  # raises what went wrong before the first byte
        except BaseException:
            self._closed()
            first.cancel()
            await _end(first, chunks)
            raise
        headers = plain_headers(context.correlation)
        headers[REVISION_HEADER] = str(desk.runtime.committed().revision)
        return _LogResponse(first, chunks, form, headers, self._closed)

    def _closed(self) -> None:
        self._open -= 1


def _form(request: Request) -> str:
    accept = request.headers.get("accept", "*/*").lower()
    ranges = {part.partition(";")[0].strip() for part in accept.split(",")}
    if TEXT in ranges or "text/*" in ranges:
        return TEXT
    if ranges & {NDJSON, "application/json", "application/*", "*/*", ""}:
        return NDJSON
    raise failed("not-acceptable", f"output is given as {NDJSON} or {TEXT}, not as {accept[:100]!r}")


async def _end(first: "asyncio.Task[Piece | None]", chunks: AsyncIterator[Piece]) -> None:
    with contextlib.suppress(asyncio.CancelledError, Failed, StopAsyncIteration):
        await first
    await chunks.aclose()  # type: ignore[attr-defined]


class _LogResponse(Response):
    """Streams until the output ends, the reader leaves, or something fails on the way."""

    def __init__(
        self,
        first: "asyncio.Task[Piece | None]",
        chunks: AsyncIterator[Piece],
        form: str,
        headers: dict[str, str],
        closed: Callable[[], None],
    ) -> None:
        super().__init__(None, 200, headers, NDJSON if form == NDJSON else TEXT)
        del self.headers["content-length"]
        self._first = first
        self._chunks = chunks
        self._encode = _as_json if form == NDJSON else _as_text
        self._on_closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving, self._first):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await _end(self._first, self._chunks)
            self._on_closed()
        if sending.done() and not sending.cancelled():
            sending.result()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            chunk = await self._first
            while chunk is not None:
                await self._send(send, self._encode(chunk))
                chunk = await anext(self._chunks, None)
        except Failed as failure:
            await self._send(send, self._encode(failure))
        except TimeoutError:
            _log.info("a reader of output stood still and was left")
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, data: bytes) -> None:
        message: Message = {"type": "http.response.body", "body": data, "more_body": True}
        async with asyncio.timeout(SEND_TIME_S):
            await send(message)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _as_json(item: Any) -> bytes:
    """A chunk, or, as the last line, `{"problem": ...}`."""
    if isinstance(item, Failed):
        return msgspec.json.encode({"problem": item.problem}) + b"\n"
    return msgspec.json.encode(item) + b"\n"


def _as_text(item: Any) -> bytes:
    if isinstance(item, Failed):
        return f"\n--- omnitide: {item.problem.detail}\n".encode()
    if isinstance(item, OutputLine):
        at = datetime.fromtimestamp(item.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if item.stream == "note":
            return f"--- omnitide: {at} {item.node or 'nexus'}: {item.text}\n".encode()
        return f"{at} {item.name} {item.stream} {item.text}\n".encode()
    gap = "\n--- omnitide: output that was here is not kept any more\n" if item.gap else ""
    return (gap + item.text).encode()
