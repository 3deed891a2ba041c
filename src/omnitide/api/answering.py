"""Answers over HTTP: JSON with the revision that it shows, or a problem."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

from omnitide.api import correlation as correlations
from omnitide.model.normalise import has_quantities, present
from omnitide.model.problem import PROBLEM_MEDIA_TYPE, Problem
from omnitide.operations.operation import Answer, AnyOperation, Cookie

JSON: Final = "application/json"
REVISION_HEADER: Final = "Omnitide-Revision"
REPLAYED_HEADER: Final = "Omnitide-Replayed"

_encoder: Final = msgspec.json.Encoder()


def encode_json(value: Any) -> bytes:
    """A struct or plain data; quantities are numbers in people's units, as `model.normalise.read` takes them."""
    if isinstance(value, msgspec.Struct) and has_quantities(type(value)):
        return _encoder.encode(present(value))
    return _encoder.encode(value)


def plain_headers(correlation: str) -> dict[str, str]:
    """On every answer. Nothing is cached: what is shown changes with time and with nodes, not with the object alone."""
    return {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        correlations.HEADER.title(): correlation,
    }


def answer_response(operation: AnyOperation, answer: Answer[Any], correlation: str, path: str) -> Response:
    headers = plain_headers(correlation)
    headers[REVISION_HEADER] = str(answer.revision)
    if answer.etag is not None:
        headers["ETag"] = f'"{answer.etag}"'
    if answer.replayed:
        headers[REPLAYED_HEADER] = "true"
    if answer.cookie is not None:
        headers["Set-Cookie"] = _set_cookie(answer.cookie)
    status = 503 if answer.unavailable else 201 if answer.created else 200
    if answer.created and operation.method == "PUT":
        headers["Location"] = path
    return Response(encode_json(answer.value), status, headers, JSON)


def _set_cookie(cookie: Cookie) -> str:
    """The name's prefix `__Host-` has browsers insist on what follows: TLS, this very host, all of its paths."""
    kept = f"Max-Age={cookie.seconds}"
    return f"{cookie.name}={cookie.value}; {kept}; Path=/; Secure; HttpOnly; SameSite=Strict"


def problem_response(
    cause: Problem, correlation: str, path: str, *, revision: int | None = None, more: Mapping[str, str] | None = None
) -> Response:
    headers = {**plain_headers(correlation), **(more or {})}
    if revision is not None:
        headers[REVISION_HEADER] = str(revision)
    if cause.retry_after_s:
        headers["Retry-After"] = str(cause.retry_after_s)
    if cause.status == 426:
        headers |= {"Upgrade": "websocket", "Connection": "Upgrade"}
    if cause.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="omnitide"'
    shown = msgspec.structs.replace(cause, instance=path, correlation=correlation)
    return Response(_encoder.encode(shown), cause.status, headers, PROBLEM_MEDIA_TYPE)
