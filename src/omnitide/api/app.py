"""The application on the HTTPS port: every REST route, the streams, the panel, and problems for everything else."""

from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from omnitide.api.blob_transfers import BlobTransfers
from omnitide.api.call_counts import CallCounts
from omnitide.api.call_traces import CallTraces
from omnitide.api.documents import with_documents
from omnitide.api.event_sockets import EventSockets
from omnitide.api.file_streams import FileStreams
from omnitide.api.log_streams import LogStreams
from omnitide.api.metrics_page import MetricsPages
from omnitide.api.panel import Panel
from omnitide.api.rest import Desk, routes
from omnitide.api.segments import WholeSegments
from omnitide.api.stream_sockets import nothing_else
from omnitide.api.tunnel_sockets import TunnelSockets
from omnitide.api.view_sockets import ViewSockets
from omnitide.operations.failures import Failed, failed
from omnitide.operations.operation import Bulk, Stream
from omnitide.operations.reaching import EXEC, FORWARD
from omnitide.operations.registry import REGISTRY, Registry
from omnitide.operations.runtime import Runtime

_LOGS: Final = "instances.logs"
_SEARCH: Final = "logs.search"
_EVENTS: Final = "events.watch"
_VIEW: Final = "view.watch"
_PUT: Final = "blobs.put"
_GET: Final = "blobs.get"


class UndeclaredSurface(Exception):
    """A stream is declared that no surface carries, or carried and not declared."""


def make_app(
    runtime: Runtime,
    registry: Registry = REGISTRY,
    traces: CallTraces | None = None,
    counts: CallCounts | None = None,
) -> Starlette:
    """Raises UndeclaredSurface, and ValueError for a registry that contradicts itself."""
    whole = with_documents(registry)
    desk = Desk(runtime, traces, counts)
    streams = {one.name: one for one in whole if isinstance(one, Stream)}
    carried = sorted({_LOGS, _SEARCH, _EVENTS, _VIEW})
    if sorted(streams) != carried:
        raise UndeclaredSurface(f"HTTP carries the streams {carried}; declared are {sorted(streams)}")
    bulk = {one.name: one for one in whole if isinstance(one, Bulk)}
    if set(bulk) != {_PUT, _GET}:
        raise UndeclaredSurface(f"HTTP carries the transfers {_PUT} and {_GET}; declared are {sorted(bulk)}")
    all_routes: list[BaseRoute] = [
        *BlobTransfers(bulk[_PUT], bulk[_GET], desk).routes(),
        LogStreams(streams[_LOGS], desk).route(),
        LogStreams(streams[_SEARCH], desk).route(),
        *EventSockets(streams[_EVENTS], desk).routes(),
        *ViewSockets(streams[_VIEW], desk).routes(),
        *TunnelSockets(EXEC, desk).routes(),
        *TunnelSockets(FORWARD, desk).routes(),
        FileStreams(desk).route(),
        *MetricsPages(desk).routes(),
        *routes(whole, desk),
        nothing_else(desk, streams[_EVENTS].path),
    ]

    panel = Panel()

    async def unrouted(request: Request, error: Exception) -> Response:
        async def handle(request: Request) -> Response:
            page = panel.respond(request)
            if page is not None:
                return page
            raise _unrouted(request, error)

        return await desk.answer(request, handle)

    app = Starlette(routes=all_routes, exception_handlers={HTTPException: unrouted})
    app.router.redirect_slashes = False
    app.add_middleware(WholeSegments)
    return app


def _unrouted(request: Request, error: Exception) -> Failed:
    path = request.url.path
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return failed("method-not-allowed", f"{request.method} does not go with {path}", hint=f"allowed: {allowed}")
    return failed("no-route", f"there is nothing at {path}", hint="/v1/openapi.json lists what there is")
