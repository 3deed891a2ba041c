"""What a Prometheus asks of Nexus: `/metrics`, the page of each node, and the list of both (HTTP service discovery). On
the HTTPS port by a token, and in plaintext on loopback where that is asked for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from omnitide.api.call_counts import CallCounts
from omnitide.api.reading import read_request
from omnitide.api.rest import Desk, peer_of
from omnitide.model.addresses import host_port
from omnitide.operations.exposing import EXPOSE, samples
from omnitide.operations.failures import Failed
from omnitide.operations.operation import Context
from omnitide.operations.perform import require_permission
from omnitide.operations.runtime import Runtime
from omnitide.operations.scraping import EXPOSE_NODE, TARGETS, node_samples, targets
from omnitide.telemetry.series.exposition import Sample, exposition

Page = Callable[[Runtime, Request, CallCounts], Awaitable[Response]]
"""Raises Failed."""

MAX_HOST: Final = 261
IN_THE_LOOP: Final = 500
"""Samples that are written as text at once, in some milliseconds; of more, it is done beside what else is going on."""
_writers = ThreadPoolExecutor(2, "metrics-page")
"""Two such pages at once; others wait their turn."""


async def fabric_page(runtime: Runtime, request: Request, counts: CallCounts) -> Response:
    return await _text(chain(samples(runtime), counts.samples()), request)


async def node_page(runtime: Runtime, request: Request, _: CallCounts) -> Response:
    return await _text(node_samples(runtime, request.path_params["node"]), request)


async def target_list(runtime: Runtime, request: Request, _: CallCounts) -> Response:
    body = msgspec.json.encode(targets(runtime, _asked_at(request), request.url.scheme))
    return Response(body, headers={"Content-Type": "application/json", "Cache-Control": "no-store"})


# `Any`: they are of no kind that the registry has.
_PAGES: Final[tuple[tuple[Any, Page], ...]] = (
    (EXPOSE, fabric_page),
    (TARGETS, target_list),
    (EXPOSE_NODE, node_page),
)


class MetricsPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[BaseRoute]:
        return [
            Route(declared.path, self._endpoint(declared, page), methods=["GET"], name=declared.name)
            for declared, page in _PAGES
        ]

    def _endpoint(self, declared: Any, page: Page) -> Any:
        async def give(request: Request) -> Response:
            principal = self._desk.principal(request, declared)
            await read_request(request, declared, 0)
            context = Context(principal=principal, correlation=self._desk.correlation(request), peer=peer_of(request))
            require_permission(declared, self._desk.runtime, context)
            return await page(self._desk.runtime, request, self._desk.counts)

        async def endpoint(request: Request) -> Response:
            return await self._desk.answer(request, give)

        return endpoint


def plain_app(runtime: Runtime, counts: CallCounts | None = None) -> Starlette:
    """For a listener on loopback, without a token: whoever is on this machine may read it."""

    def endpoint(page: Page) -> Any:
        async def give(request: Request) -> Response:
            try:
                return await page(runtime, request, counts or CallCounts())
            except Failed as failure:
                return Response(f"{failure.problem.detail}\n", status_code=404, media_type="text/plain")

        return give

    return Starlette(routes=[Route(declared.path, endpoint(page), methods=["GET"]) for declared, page in _PAGES])


async def _text(found: Iterable[Sample], request: Request) -> Response:
    accept = request.headers.get("accept", "")
    taken = list(found)
    if len(taken) <= IN_THE_LOOP:
        text, content_type = exposition(taken, accept)
    else:
        loop = asyncio.get_running_loop()
        text, content_type = await loop.run_in_executor(_writers, exposition, taken, accept)
    return Response(text, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def _asked_at(request: Request) -> str:
    """Host and port by which whoever asks has come here; it says so itself, and is the only one who is told."""
    host = request.headers.get("host", "")
    if host and len(host) <= MAX_HOST and host.isprintable() and not set(host) & set("/\\@?# "):
        return host if ":" in host.rpartition("]")[2] else f"{host}:{443 if request.url.scheme == 'https' else 80}"
    address, port = request.scope.get("server") or ("127.0.0.1", 0)
    return host_port(address, port or 0)
