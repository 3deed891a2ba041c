"""The standard health service. Open to anybody, as probes have no tokens; it says yes or no and nothing else.

Whoever has no token has few bytes and few calls here, so that those who have one find room.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from omnitide.api.grpc_service import SERVICE
from omnitide.operations.runtime import Runtime

HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
MAX_CHECKS: Final = 64
"""Questions that are being asked at once; the answer takes no time."""
MAX_WATCHES: Final = 256
MAX_QUESTION_BYTES: Final = 1 << 10
"""A question is the name of a service."""
QUESTION_S: Final = 5.0
POLL_S: Final = 1.0

_Context = grpc.aio.ServicerContext[Any, Any]
_Response = health_pb2.HealthCheckResponse


class Health:
    """Handlers of both methods. They read bytes from a stream, as who asks one question does not notice: a message is
    taken only where there is room for it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._checks = self._watches = 0

    def handler(self) -> grpc.GenericRpcHandler:
        methods = {
            name: grpc.stream_stream_rpc_method_handler(
                handle, request_deserializer=_as_it_is, response_serializer=_Response.SerializeToString
            )
            for name, handle in (("Check", self._check), ("Watch", self._watch))
        }
        return grpc.method_handlers_generic_handler(HEALTH, methods)

    def _status(self, service: str) -> "_Response.ServingStatus | None":
        if service not in ("", SERVICE):
            return None
        serving = all(check.ok for check in self._runtime.readiness())
        return _Response.SERVING if serving else _Response.NOT_SERVING

    async def _check(self, questions: AsyncIterator[bytes], context: _Context) -> None:
        if self._checks >= MAX_CHECKS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_CHECKS} checks are being answered")
        self._checks += 1
        try:
            service = await _service(questions, context)
            status = self._status(service)
            if status is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {service[:80]!r} here")
            await context.write(_Response(status=status))
        finally:
            self._checks -= 1

    async def _watch(self, questions: AsyncIterator[bytes], context: _Context) -> None:
        if self._watches >= MAX_WATCHES:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_WATCHES} watches are open")
        self._watches += 1
        try:
            service = await _service(questions, context)
            told: object = None
            while True:
                status = self._status(service)
                if status is None:
                    status = _Response.SERVICE_UNKNOWN
                if status != told:
                    told = status
                    await context.write(_Response(status=status))
                await asyncio.sleep(POLL_S)
        finally:
            self._watches -= 1


async def _service(questions: AsyncIterator[bytes], context: _Context) -> str:
    """Which service is asked for; ends the call where nothing is, or not in time."""
    try:
        async with asyncio.timeout(QUESTION_S):
            raw = await anext(questions)
        if len(raw) <= MAX_QUESTION_BYTES:
            return health_pb2.HealthCheckRequest.FromString(raw).service
        told = f"a question has {MAX_QUESTION_BYTES} bytes at most"
    except (TimeoutError, StopAsyncIteration):
        told = f"no question came within {QUESTION_S:g} s"
    except DecodeError:
        told = "the question is no HealthCheckRequest"
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, told)
    raise AssertionError("abort raises")


def _as_it_is(raw: bytes) -> bytes:
    return raw
