"""REST: one route for each operation of the registry."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from omnitide.api import correlation as correlations
from omnitide.api.answering import answer_response, problem_response
from omnitide.api.authenticate import Authenticator
from omnitide.api.call_counts import NO_OPERATION, CallCounts
from omnitide.api.call_traces import CallTraces, end, error_of
from omnitide.api.callers import Callers, check_own_page
from omnitide.api.connections import SCOPE_KEY, Connection
from omnitide.api.packing import packed
from omnitide.api.reading import Question, read_request
from omnitide.api.seldom import Seldom, shortened
from omnitide.model.problem import problem
from omnitide.operations.failures import Failed, failed
from omnitide.operations.logins import OPEN_SESSION
from omnitide.operations.operation import NOBODY, AnyDeclaration, AnyOperation, Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import Registry
from omnitide.operations.runtime import Runtime
from omnitide.security.join_contract import Hop
from omnitide.telemetry import logs
from omnitide.telemetry.tracing.spans import Value

MAX_IN_FLIGHT: Final = 4096
"""Requests that are answered at once; one more is told to come again."""

STRANGERS_BODY_BYTES: Final = 64 << 10
"""Of those who need no token, and show none: a join is a token, a request for a certificate and a few words."""

_SMALL_BODY: Final = 64 << 10
_PRINCIPAL: Final = "omnitide.principal"
_OPERATION: Final = "omnitide.operation"
_CORRELATION: Final = "omnitide.correlation"
_READS: Final = frozenset({"GET", "HEAD"})

Handler = Callable[[Request], Awaitable[Response]]

_log = logs.get(__name__)


class Desk:
    """What every HTTP surface needs: who calls, under which correlation, and an answer whatever happens."""

    def __init__(self, runtime: Runtime, traces: CallTraces | None = None, counts: CallCounts | None = None) -> None:
        self.runtime = runtime
        self.counts = counts or CallCounts()
        self._traces = traces or CallTraces()
        self.authenticator = Authenticator(runtime)
        self.callers = Callers(runtime, self.authenticator)
        self._in_flight = 0
        self._refusals = Seldom()

    def correlation(self, request: Request) -> str:
        known: str | None = request.scope.get(_CORRELATION)
        if known is None:
            given = correlations.given(request.headers.get("x-request-id"), request.headers.get("traceparent"))
            known = request.scope[_CORRELATION] = given or self.runtime.new_id("c")
        return known

    def principal(self, request: Request, operation: AnyDeclaration) -> str:
        """Raises Failed."""
        request.scope[_OPERATION] = operation
        shown = operation.more_with_token and self.callers.shows_something(request)
        if operation.open and not shown:
            if operation.name == OPEN_SESSION:
                check_own_page(request, origin_needed=False)
            return NOBODY
        return recognised(request, self.callers.of_request(request, peer_of(request)))

    def context(self, request: Request, principal: str, question: Question) -> Context:
        conditions = question.conditions
        return Context(
            principal=principal,
            correlation=self.correlation(request),
            idempotency_key=conditions.idempotency_key,
            fingerprint=question.fingerprint if conditions.idempotency_key else "",
            if_match=conditions.if_match,
            min_revision=conditions.min_revision,
            dry_run=conditions.dry_run,
            peer=peer_of(request),
        )

    async def answer(self, request: Request, handler: Handler) -> Response:
        """What the handler answers, or the problem that it met."""
        headers = request.headers
        call = self._traces.begin(
            headers.get("x-request-id"), headers.get("traceparent"), changes=request.method not in _READS
        )
        if call is not None:
            request.scope[_CORRELATION] = call.correlation
        correlation = self.correlation(request)
        if self._in_flight >= MAX_IN_FLIGHT:
            return self.refusal(request, failed("busy", f"{MAX_IN_FLIGHT} requests are being answered"))
        self._in_flight += 1
        began = time.perf_counter()
        status = 500
        try:
            with logs.bound(correlation=correlation):
                response = await self._guarded(request, handler)
                status = response.status_code
                return response
        finally:
            self._in_flight -= 1
            # What strangers send is no part of anything: it would only fill the traces.
            if call is not None and _PRINCIPAL in request.scope:
                end(call, *_described(request, status, call.own), error_of(status))
            seconds = time.perf_counter() - began
            self._count(request, status, seconds)
            self._tell(request, status, round(seconds * 1000, 1), correlation)

    def _count(self, request: Request, status: int, seconds: float) -> None:
        operation: AnyDeclaration | None = request.scope.get(_OPERATION)
        name = operation.name if operation is not None else NO_OPERATION
        outcome = "ok" if status < 400 else "refused" if status < 500 else "failed"
        self.counts.took("rest", name, outcome, seconds, changes=request.method not in _READS)

    def _tell(self, request: Request, status: int, milliseconds: float, correlation: str) -> None:
        """A line for each request; of the refusals of strangers, who may send any number of them, for some."""
        more: dict[str, object] = {}
        quiet = request.method == "GET" and status < 500
        if not quiet and status >= 400 and _PRINCIPAL not in request.scope:
            left_out = self._refusals.passes()
            if left_out is None:
                return
            if left_out:
                more["refusals_left_out"] = left_out
        write = _log.debug if quiet else _log.info
        write(
            "request",
            method=shortened(request.method, 20),
            path=shortened(request.url.path),
            status=status,
            ms=milliseconds,
            peer=peer_of(request),
            correlation=correlation,
            **more,
        )

    async def _guarded(self, request: Request, handler: Handler) -> Response:
        try:
            return await handler(request)
        except Failed as failure:
            return self.refusal(request, failure)
        except Exception:
            _log.exception("a request could not be answered", method=request.method, path=shortened(request.url.path))
            detail = "something went wrong in the control plane; its log says more under this correlation id"
            return self.refusal(request, Failed(problem("internal", detail)))

    def refusal(self, request: Request, failure: Failed) -> Response:
        revision = self.runtime.committed().revision
        # What is left of a body that was refused must not be read as long as its sender likes.
        more = {"Connection": "close"} if _has_body(request) else {}
        path = request.url.path
        return problem_response(failure.problem, self.correlation(request), path, revision=revision, more=more)


def _described(request: Request, status: int, own: str) -> tuple[str, dict[str, Value]]:
    """Name and attributes of the span of a request, in OpenTelemetry's words."""
    operation: AnyDeclaration | None = request.scope.get(_OPERATION)
    route = operation.path if operation is not None else ""
    described: dict[str, Value] = {
        "http.request.method": request.method,
        "http.response.status_code": status,
        "url.path": shortened(request.url.path),
        "client.address": peer_of(request),
        "enduser.id": request.scope[_PRINCIPAL],
    }
    if operation is not None:
        described |= {"http.route": route, "omnitide.operation": operation.name}
    if own:
        described["omnitide.request_id"] = own
    return f"{request.method} {route}".strip(), described


def recognised(request: Request, principal: str) -> str:
    """The principal whose token was shown: its connection is no stranger's, and neither is what is logged of it."""
    request.scope[_PRINCIPAL] = principal
    connection: Connection | None = request.scope.get(SCOPE_KEY)
    if connection is not None:
        connection.known()
    return principal


def _has_body(request: Request) -> bool:
    """Whether a body comes with the request that a client might still be sending when it is refused."""
    length = request.headers.get("content-length", "0")
    return "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > _SMALL_BODY


def peer_of(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def routes(registry: Registry, desk: Desk) -> list[BaseRoute]:
    """A route for every path of operations that are a question and an answer. Streams have routes of their own."""
    by_path: dict[str, dict[str, AnyOperation]] = {}
    for operation in registry.unary():
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(path, _endpoint(methods, desk), methods=list(methods), name=path) for path, methods in by_path.items()
    ]


def _endpoint(operations: Mapping[str, AnyOperation], desk: Desk) -> Handler:
    async def handle(request: Request) -> Response:
        operation = operations["GET" if request.method == "HEAD" else request.method]
        principal = desk.principal(request, operation)
        limit = desk.runtime.limits().body_bytes
        if principal == NOBODY:
            limit = min(limit, STRANGERS_BODY_BYTES)
        question = await read_request(request, operation, limit)
        try:
            answer = await perform(operation, desk.runtime, desk.context(request, principal, question), question.value)
        except Failed as failure:
            logs_in = operation.name == OPEN_SESSION and failure.problem.code == "unauthenticated"
            if failure.problem.hop == Hop.TOKEN or logs_in:
                raise desk.authenticator.failed_token(peer_of(request)) or failure from failure
            raise
        return packed(request, answer_response(operation, answer, desk.correlation(request), request.url.path))

    async def endpoint(request: Request) -> Response:
        return await desk.answer(request, handle)

    return endpoint
