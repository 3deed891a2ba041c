"""A name in a path is one segment of it, whatever it is: an encoded slash is a sign of the name and parts nothing.

Servers decode a whole path before it is matched, so that `agents/hello%2Fscale` would be `agents/hello/scale`: another
route, and one that changes something. Here such a slash stays encoded. No name of the fabric has one, so that the
answer is the refusal, or the 404, of the very operation that was asked for.
"""

import re
from typing import Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_SLASH: Final = re.compile(rb"%2f", re.IGNORECASE)


class WholeSegments:
    """Around the application's routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if raw and _SLASH.search(raw):
            scope = {**scope, "path": unquote(_SLASH.sub(b"%252F", raw).decode("ascii", "replace"))}
        await self._app(scope, receive, send)
