"""A name in a path is one segment of it, whatever it is: an encoded slash is a sign of the name and parts nothing.

Servers decode a whole path before it is matched, so that `agents/hello%2Fscale` would be `agents/hello/scale`: another
route, and one that changes something. Here such a slash stays encoded until the route is found. No name of the fabric
has one, so that the answer is the refusal, or the 404, of the very operation that was asked for, with the name as it
was given.
"""

import re
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_SLASH: Final = re.compile(rb"%2f", re.IGNORECASE)


_HELD_BACK: Final = "omnitide.slashes"
"""In the scope of a request that has encoded slashes in its path."""


def names_in_path(request: Request) -> dict[str, str]:
    """The parameters of the path as they were given."""
    given = {name: str(value) for name, value in request.path_params.items()}
    if not request.scope.get(_HELD_BACK):
        return given
    return {name: value.replace("%2F", "/") for name, value in given.items()}


class WholeSegments:
    """Around the application's routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if raw and _SLASH.search(raw):
            scope = {**scope, _HELD_BACK: True, "path": unquote(_SLASH.sub(b"%252F", raw).decode("ascii", "replace"))}
        await self._app(scope, receive, send)
