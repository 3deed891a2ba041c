"""Blobs over gRPC: a stream of pieces in, a stream of pieces out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc.aio
from google.protobuf.message import DecodeError

from omnitide.api.blob_transfers import ANY, MAX_TRANSFERS, STILL_S
from omnitide.model.blobs import Blob, hex_of
from omnitide.operations.blobs import show_blob, users_of_blobs
from omnitide.operations.closing import closing
from omnitide.operations.failures import failed
from omnitide.operations.operation import AnyBulk, Context
from omnitide.operations.perform import require_permission
from omnitide.operations.runtime import Runtime
from omnitide.wire import fabric_pb2 as pb

PIECE: Final = 256 << 10

Call = grpc.aio.ServicerContext[Any, Any]


class GrpcBlobs:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open = 0

    async def put(self, operation: AnyBulk, context: Context, messages: AsyncIterator[bytes]) -> Blob:
        """Raises Failed, BlobError."""
        self._enter(operation, context)
        try:
            first = await _next(messages)
            if first is None:
                raise failed("malformed", "no message names the blob")
            expected = "" if first.digest == ANY else first.digest
            if expected:
                hex_of(expected)
            blob = await self._runtime.blobs().put(_pieces(first, messages), expected)
        finally:
            self._open -= 1
        return show_blob(blob, users_of_blobs(self._runtime.committed()))

    async def get(self, operation: AnyBulk, context: Context, request: pb.GetBlobRequest) -> AsyncIterator[bytes]:
        """Messages, serialized. Raises Failed, BlobError."""
        self._enter(operation, context)
        try:
            blobs = self._runtime.blobs()
            blob = await blobs.find(request.digest)
            if blob is None:
                raise failed("not-found", f"there is no blob {request.digest}", hint="omnitide blob ls")
            if not 0 <= request.offset <= blob.size:
                raise failed("invalid", f"offset: the blob has {blob.size} bytes")
            if request.offset == blob.size:
                return
            async with closing(blobs.read(request.digest, request.offset)) as pieces:
                async for piece in pieces:
                    for start in range(0, len(piece), PIECE):
                        yield pb.BlobPart(data=piece[start : start + PIECE]).SerializeToString()
        finally:
            self._open -= 1

    def _enter(self, operation: AnyBulk, context: Context) -> None:
        """Raises Failed unless whoever asks may, and there is room for one more."""
        require_permission(operation, self._runtime, context)
        if self._open >= MAX_TRANSFERS:
            raise failed("busy", f"{MAX_TRANSFERS} blobs are being transferred, the most there can be")
        self._open += 1


async def _pieces(first: pb.PutBlobRequest, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    message: pb.PutBlobRequest | None = first
    while message is not None:
        if len(message.data) > PIECE:
            raise failed("too-large", f"a message has {PIECE} bytes of data at most")
        if message.data:
            yield message.data
        message = await _next(messages)


async def _next(messages: AsyncIterator[bytes]) -> pb.PutBlobRequest | None:
    """Raises Failed where the client stands still, or sends what is no message."""
    try:
        async with asyncio.timeout(STILL_S):
            raw = await anext(messages, None)
        return None if raw is None else pb.PutBlobRequest.FromString(raw)
    except TimeoutError as error:
        raise failed("timeout", f"nothing of the blob came for {STILL_S:g} s") from error
    except DecodeError as error:
        raise failed("malformed", f"a message is no PutBlobRequest: {error}") from error
