"""Sessions of browsers: opened by a login link or by an API token, seen, and closed.

A session is a cookie and a proof. The cookie is out of reach of scripts; but cookies know no ports, so that every other
server of the same host is sent it too, an agent's for one. The proof is kept by the page's own origin and is shown with
each request: neither opens anything without the other.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

from msgspec import Meta

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission, opens
from omnitide.fabric.rules.sessions import holder
from omnitide.fabric.state import Token, TokenPurpose
from omnitide.model import inventory as inv
from omnitide.operations.changing import change
from omnitide.operations.failures import Failed, failed
from omnitide.operations.inputs import Request
from omnitide.operations.operation import OPEN, Answer, Context, Cookie, Operation
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.inventory import show_token
from omnitide.security.errors import SecurityError
from omnitide.security.tokens import (
    API_PREFIX,
    MAX_TOKEN_CHARS,
    ApiToken,
    LoginToken,
    MalformedToken,
    matches,
    parse_api_token,
    parse_login_token,
    proof_of,
)

OPEN_SESSION: Final = "sessions.open"
AGAIN: Final = "a new link: omnitide panel, on a machine that has a token"


class OpenSessionRequest(Request, frozen=True, kw_only=True):
    secret: Annotated[
        str, Meta(min_length=1, max_length=MAX_TOKEN_CHARS, description="The code of a login link, or an API token.")
    ]
    note: Annotated[str, Meta(max_length=200, description="Which browser; shown in the list of tokens.")] = ""


class GetCallerRequest(Request, frozen=True, kw_only=True):
    pass


class CloseSessionRequest(Request, frozen=True, kw_only=True):
    pass


def cookie_name(fabric_id: str) -> str:
    """Two fabrics of one host have different ones."""
    return f"__Host-omnitide-{fabric_id}"


def session_is_open(runtime: Runtime, session: Token) -> bool:
    """Neither closed nor over, and whoever let it in still has a valid token."""
    now_ms = runtime.now_ms()
    return not session.revoked and session.expires_ms > now_ms and opens(runtime.committed(), session.principal, now_ms)


async def _open(runtime: Runtime, context: Context, asked: OpenSessionRequest) -> Answer[inv.SessionOpened]:
    shown = _verified(runtime, asked.secret.strip())
    drawn = runtime.new_token(TokenPurpose.SESSION)
    lasts_ms = runtime.limits().session_ms
    now_ms = runtime.now_ms()
    command = cm.OpenSession(
        by=shown.id, id=drawn.id, digest=drawn.digest, expires_ms=now_ms + lasts_ms, note=asked.note
    )
    whose = Context(principal=holder(runtime.committed(), shown), correlation=context.correlation, peer=context.peer)
    try:
        made = await change(runtime, whose, command)
    except Failed as failure:
        if failure.problem.code not in ("forbidden", "expired"):
            raise
        # Who shows what opens nothing is asked who they are, as with any other token.
        raise failed("unauthenticated", failure.problem.detail, hint=failure.problem.hint or AGAIN) from failure
    session = made.state.tokens[drawn.id]
    opened = inv.SessionOpened(
        session=show_token(session, now_ms),
        proof=proof_of(session.id, session.digest, runtime.token_keys()),
        revision=made.revision,
    )
    cookie = Cookie(cookie_name(made.state.fabric_id), drawn.text, lasts_ms // 1000)
    return Answer(opened, made.revision, created=True, cookie=cookie)


def _verified(runtime: Runtime, text: str) -> Token:
    """The login or API token that has this text. Raises Failed."""
    parse: Callable[[str], ApiToken | LoginToken] = parse_login_token
    if text.startswith(f"{API_PREFIX}_"):
        parse = parse_api_token
    try:
        token = parse(text)
        known = runtime.committed().tokens.get(token.id)
        stored = known.digest if known is not None else "sha256:" + "0" * 64
        if matches(token, stored, runtime.token_keys()) and known is not None:
            return known
    except MalformedToken as error:
        raise failed("unauthenticated", str(error), hint=AGAIN) from error
    except SecurityError as error:
        raise failed("unauthenticated", f"it cannot be verified: {error}", hint=AGAIN) from error
    what = "token" if isinstance(token, ApiToken) else "login link"
    raise failed("unauthenticated", f"this {what} is unknown here: it is of another fabric, or long gone", hint=AGAIN)


def _own(runtime: Runtime, context: Context) -> Token:
    """Raises Failed for a caller who has no token: a node."""
    kind, _, identifier = context.principal.partition(":")
    token = runtime.committed().tokens.get(identifier) if kind == "token" else None
    if token is None:
        raise failed("not-found", "you have shown no token")
    return token


async def _read(runtime: Runtime, context: Context, _: GetCallerRequest) -> Answer[inv.Caller]:
    state = runtime.committed()
    shown = show_token(_own(runtime, context), runtime.now_ms())
    return Answer(inv.Caller(token=shown, fabric_id=state.fabric_id, revision=state.revision), state.revision)


async def _close(runtime: Runtime, context: Context, _: CloseSessionRequest) -> Answer[inv.TokenRevoked]:
    own = _own(runtime, context)
    if own.purpose is not TokenPurpose.SESSION:
        raise failed("conflict", "you have shown a token, which is no session", hint=f"omnitide token revoke {own.id}")
    made = await change(runtime, context, cm.RevokeToken(id=own.id))
    revoked = inv.TokenRevoked(
        token=show_token(made.state.tokens[own.id], runtime.now_ms()), revision=made.revision, dry_run=made.dry_run
    )
    return Answer(revoked, made.revision, cookie=Cookie(cookie_name(made.state.fabric_id), "", 0))


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name=OPEN_SESSION,
        summary="Log a browser in to the panel.",
        description="The code of a login link opens one session; an API token any number. The session comes as a cookie"
        " that scripts cannot read; the proof in the answer is shown beside it, as the header `Omnitide-Proof`.",
        method="POST",
        path="/v1/session",
        input=OpenSessionRequest,
        output=inv.SessionOpened,
        permission=OPEN,
        failures=("unauthenticated", "forbidden", "limit", "throttled", "not-serving"),
        handler=_open,
        writes=True,
        idempotent=False,
    ),
    Operation(
        name="sessions.read",
        summary="Whoever asks: the token or session that was shown.",
        method="GET",
        path="/v1/session",
        input=GetCallerRequest,
        output=inv.Caller,
        permission=Permission("read", "session"),
        failures=("not-found",),
        handler=_read,
    ),
    Operation(
        name="sessions.close",
        summary="Log out: the session that was shown ends.",
        method="DELETE",
        path="/v1/session",
        input=CloseSessionRequest,
        output=inv.TokenRevoked,
        permission=PERMISSIONS[cm.RevokeToken],
        failures=("not-found", "conflict"),
        handler=_close,
        writes=True,
        destructive=True,
    ),
)
