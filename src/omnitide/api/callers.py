"""Who calls over HTTP, by what the request shows: a bearer token, or the session of a browser that has logged in.

Whatever a browser sends by itself, other pages can make it send. A session counts only from the panel's own pages: by
where the browser says that the request comes from, and by the proof that no other origin has.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from omnitide.api.authenticate import Authenticator
from omnitide.operations.failures import failed
from omnitide.operations.logins import cookie_name
from omnitide.operations.runtime import Runtime

PROOF_HEADER: Final = "omnitide-proof"
TOKEN_SUBPROTOCOL: Final = "bearer."  # noqa: S105 a prefix
PROOF_SUBPROTOCOL: Final = "proof."
"""A browser cannot set headers on a WebSocket: it offers `omnitide.v1`, and `bearer.<token>` or `proof.<proof>`."""
_SAFE: Final = frozenset({"GET", "HEAD"})


class Callers:
    """Finds the principal of a request."""

    def __init__(self, runtime: Runtime, authenticator: Authenticator) -> None:
        self._runtime = runtime
        self._authenticator = authenticator

    def shows_something(self, request: Request) -> bool:
        """Whether it comes with a token or a whole session."""
        return "authorization" in request.headers or (self._cookie(request) != "" and PROOF_HEADER in request.headers)

    def of_request(self, request: Request, peer: str) -> str:
        """Raises Failed."""
        cookie = self._cookie(request)
        if "authorization" in request.headers or not cookie:
            return self._authenticator.bearer(request.headers.get("authorization"), peer)
        check_own_page(request, origin_needed=request.method not in _SAFE)
        return self._authenticator.session(cookie, request.headers.get(PROOF_HEADER, ""), peer)

    def of_socket(self, request: Request, peer: str) -> str:
        """Raises Failed."""
        if "authorization" in request.headers:
            return self._authenticator.bearer(request.headers["authorization"], peer)
        token = _offered(request, TOKEN_SUBPROTOCOL)
        if token:
            return self._authenticator.token(token, peer)
        cookie = self._cookie(request)
        if not cookie:
            return self._authenticator.bearer(None, peer)
        check_own_page(request, origin_needed=True)
        return self._authenticator.session(cookie, _offered(request, PROOF_SUBPROTOCOL), peer)

    def _cookie(self, request: Request) -> str:
        return request.cookies.get(cookie_name(self._runtime.committed().fabric_id), "")


def _offered(request: Request, prefix: str) -> str:
    offered: list[str] = request.scope.get("subprotocols", [])
    return next((one.removeprefix(prefix) for one in offered if one.startswith(prefix)), "")


def check_own_page(request: Request, *, origin_needed: bool) -> None:
    """Refuse what a browser sends on behalf of another page. Raises Failed.

    A page of another port of this host counts as another: an agent may serve it.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    foreign = origin_needed if origin is None else not _own(request, origin)
    if site != "same-origin" or foreign:
        raise failed("forbidden", "a session is used by the panel's own pages only", hint="programs show a token")


def _own(request: Request, origin: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == request.headers.get("host", "").lower()
