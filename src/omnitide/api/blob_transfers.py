"""Blobs over HTTP: a body of any size in, taken as it comes; bytes out, from where they are asked for on."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from omnitide.api.answering import JSON, REVISION_HEADER, encode_json, plain_headers
from omnitide.api.rest import Desk, Handler
from omnitide.model.blobs import BlobError, StoredBlob, hex_of
from omnitide.operations.blobs import show_blob, users_of_blobs
from omnitide.operations.failures import failed, from_exception
from omnitide.operations.operation import AnyBulk, Context
from omnitide.operations.perform import require_permission
from omnitide.telemetry import logs

ANY: Final = "any"
"""Instead of a digest, for a body whose digest its sender does not know yet."""
BYTES: Final = "application/octet-stream"
MAX_TRANSFERS: Final = 64
"""Uploads and downloads at once."""
STILL_S: Final = 60.0
"""How long a client may neither send nor take anything."""

_RANGE: Final = re.compile(r"bytes=(\d{1,18})-")

_log = logs.get(__name__)


class BlobTransfers:
    """All transfers of blobs over HTTP."""

    def __init__(self, put: AnyBulk, get: AnyBulk, desk: Desk) -> None:
        self._put = put
        self._get = get
        self._desk = desk
        self._open = 0

    def routes(self) -> list[Route]:
        return [
            Route(self._put.path, self._endpoint(self._take), methods=["PUT"], name=self._put.name),
            Route(self._get.path, self._endpoint(self._give), methods=["GET"], name=self._get.name),
        ]

    def _endpoint(self, handle: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            return await self._desk.answer(request, handle)

        return endpoint

    def _permitted(self, request: Request, operation: AnyBulk) -> None:
        """Raises Failed unless whoever asks may, and there is room for one more."""
        context = Context(
            principal=self._desk.principal(request, operation), correlation=self._desk.correlation(request)
        )
        require_permission(operation, self._desk.runtime, context)
        if self._open >= MAX_TRANSFERS:
            raise failed("busy", f"{MAX_TRANSFERS} blobs are being transferred, the most there can be")

    async def _take(self, request: Request) -> Response:
        self._permitted(request, self._put)
        digest = str(request.path_params["digest"])
        expected = "" if digest == ANY else digest
        runtime = self._desk.runtime
        self._open += 1
        try:
            if expected:
                hex_of(expected)
            blob = await runtime.blobs().put(_body(request), expected)
        except BlobError as error:
            raise from_exception(error) or error from error
        finally:
            self._open -= 1
        state = runtime.committed()
        headers = plain_headers(self._desk.correlation(request))
        headers[REVISION_HEADER] = str(state.revision)
        headers["Location"] = self._get.path.replace("{digest}", blob.digest)
        return Response(encode_json(show_blob(blob, users_of_blobs(state))), 201, headers, JSON)

    async def _give(self, request: Request) -> Response:
        self._permitted(request, self._get)
        digest = str(request.path_params["digest"])
        runtime = self._desk.runtime
        try:
            blob = await runtime.blobs().find(digest)
        except BlobError as error:
            raise from_exception(error) or error from error
        if blob is None:
            raise failed("not-found", f"there is no blob {digest}", hint="omnitide blob ls")
        headers = plain_headers(self._desk.correlation(request))
        headers[REVISION_HEADER] = str(runtime.committed().revision)
        headers["ETag"] = f'"{blob.digest}"'
        headers["Accept-Ranges"] = "bytes"
        start = _start(request, blob)
        if start:
            headers["Content-Range"] = f"bytes {start}-{blob.size - 1}/{blob.size}"
        self._open += 1
        return _BlobResponse(runtime.blobs().read(digest, start), blob.size - start, headers, self._closed)

    def _closed(self) -> None:
        self._open -= 1


def _start(request: Request, blob: StoredBlob) -> int:
    """Where a download that was broken off goes on. What is asked for otherwise gets the whole."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    start = int(found[1]) if found is not None else 0
    return start if start < blob.size else 0


async def _body(request: Request) -> AsyncIterator[bytes]:
    """Raises Failed where the client stands still or leaves."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(STILL_S):
                piece = await anext(stream, None)
        except TimeoutError as error:
            raise failed("timeout", f"nothing of the body came for {STILL_S:g} s") from error
        except ClientDisconnect as error:
            raise failed("malformed", "the connection broke before the body was there") from error
        if piece is None:
            return
        if piece:
            yield piece


class _BlobResponse(Response):
    """Sends until all is sent or the reader leaves; what cannot be read ends the connection, short of its length."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        size: int,
        headers: dict[str, str],
        closed: Callable[[], None],
    ) -> None:
        super().__init__(None, 206 if "Content-Range" in headers else 200, headers, BYTES)
        self.headers["content-length"] = str(size)
        self._pieces = pieces
        self._on_closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        try:
            await self._send(
                send, {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["method"] != "HEAD":
                async for piece in self._pieces:
                    await self._send(send, {"type": "http.response.body", "body": piece, "more_body": True})
            await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            _log.info("a reader of a blob stood still and was left")
        finally:
            with contextlib.suppress(Exception):
                await self._pieces.aclose()  # type: ignore[attr-defined]
            self._on_closed()

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(STILL_S):
            await send(message)
