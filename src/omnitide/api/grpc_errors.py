"""Problems as gRPC says them: the nearest status, the sentence, and the whole problem in the trailing metadata."""

from typing import Final

import grpc
import msgspec

from omnitide.model.problem import Problem

PROBLEM_KEY: Final = "omnitide-problem-bin"
REVISION_KEY: Final = "omnitide-revision"
CORRELATION_KEY: Final = "omnitide-correlation"

_MAX_PROBLEM_BYTES: Final = 6 << 10
"""Metadata are bounded, often at 8 KiB: of a problem with many faults the first ones are sent."""

_STATUS: Final = {
    "already-exists": grpc.StatusCode.ALREADY_EXISTS,
    "conflict": grpc.StatusCode.FAILED_PRECONDITION,
    "expired": grpc.StatusCode.FAILED_PRECONDITION,
    "impossible": grpc.StatusCode.FAILED_PRECONDITION,
    "idempotency-mismatch": grpc.StatusCode.FAILED_PRECONDITION,
    "not-running": grpc.StatusCode.FAILED_PRECONDITION,
    "copy-refused": grpc.StatusCode.FAILED_PRECONDITION,
    "reach-failed": grpc.StatusCode.UNAVAILABLE,
    "precondition-failed": grpc.StatusCode.ABORTED,
    "stale": grpc.StatusCode.ABORTED,
    "lagged": grpc.StatusCode.ABORTED,
    "unknown-revision": grpc.StatusCode.OUT_OF_RANGE,
    "trimmed": grpc.StatusCode.OUT_OF_RANGE,
    "method-not-allowed": grpc.StatusCode.UNIMPLEMENTED,
}
_BY_HTTP_STATUS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def status_of(cause: Problem) -> grpc.StatusCode:
    return _STATUS.get(cause.code) or _BY_HTTP_STATUS.get(cause.status, grpc.StatusCode.UNKNOWN)


def encode_problem(cause: Problem) -> bytes:
    encoded = msgspec.json.encode(cause)
    errors = cause.errors
    while len(encoded) > _MAX_PROBLEM_BYTES and errors:
        errors = errors[: len(errors) // 2]
        encoded = msgspec.json.encode(msgspec.structs.replace(cause, errors=errors))
    return encoded if len(encoded) <= _MAX_PROBLEM_BYTES else b"{}"
