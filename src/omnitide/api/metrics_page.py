"""`GET /metrics` for Prometheus: on the HTTPS port by bearer token, and in plaintext on loopback where that is asked
for."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from omnitide.api.reading import read_request
from omnitide.api.rest import Desk, peer_of
from omnitide.operations.exposing import EXPOSE, samples
from omnitide.operations.operation import Context
from omnitide.operations.perform import require_permission
from omnitide.operations.runtime import Runtime
from omnitide.telemetry.series.exposition import exposition

_EXPOSE: Any = EXPOSE
"""`Any`: it is of no kind that the registry has."""


class MetricsPage:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def route(self) -> Route:
        return Route(EXPOSE.path, self._endpoint, methods=["GET"], name="metrics")

    async def _endpoint(self, request: Request) -> Response:
        return await self._desk.answer(request, self._give)

    async def _give(self, request: Request) -> Response:
        principal = self._desk.principal(request, _EXPOSE)
        await read_request(request, _EXPOSE, 0)
        context = Context(principal=principal, correlation=self._desk.correlation(request), peer=peer_of(request))
        require_permission(_EXPOSE, self._desk.runtime, context)
        return page(self._desk.runtime, request)


def page(runtime: Runtime, request: Request) -> Response:
    text, content_type = exposition(samples(runtime), request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def plain_app(runtime: Runtime) -> Starlette:
    """For a listener on loopback, without a token: whoever is on this machine may read it."""

    async def give(request: Request) -> Response:
        return page(runtime, request)

    return Starlette(routes=[Route(EXPOSE.path, give, methods=["GET"])])
