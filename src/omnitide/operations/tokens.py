"""Operations on tokens. A token's text leaves once, with the answer to its making, and is kept nowhere."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.fabric.rules.access import is_long_dead
from omnitide.fabric.state import FabricState, Token, TokenPurpose
from omnitide.model import inventory as inv
from omnitide.model.names import LabelKey, LabelValue
from omnitide.model.quantity import DurationMs
from omnitide.operations.changing import change
from omnitide.operations.failures import failed
from omnitide.operations.inputs import PageRequest, Request
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.paging import Key, page_of
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.inventory import show_token

MAX_JOIN_TTL_MS: Final = 30 * 24 * 3_600_000
"""Whoever finds a join token can add a machine: one that is not used soon should not lie about."""
MAX_API_TTL_MS: Final = 3650 * 24 * 3_600_000
MAX_LOGIN_TTL_MS: Final = 24 * 3_600_000
LISTED_MS: Final = 24 * 3_600_000
"""After its end a token is listed for so long."""
_TTL_MS: Final = {
    TokenPurpose.JOIN: 3_600_000,
    TokenPurpose.LOGIN: 600_000,
    TokenPurpose.API: 0,
    TokenPurpose.METRICS: 0,
}

TokenId = Annotated[str, Meta(min_length=1, max_length=80, description="Id of the token; not its text.")]


class ListTokensRequest(PageRequest, frozen=True, kw_only=True):
    purpose: Annotated[
        Literal["", "join", "api", "metrics", "login", "session"], Meta(description="Only of this purpose; empty: all.")
    ] = ""


class CreateTokenRequest(Request, frozen=True, kw_only=True):
    purpose: Annotated[
        Literal["join", "api", "metrics", "login"],
        Meta(
            description="join: lets a node join. api: lets a person or program use the API. metrics: lets a program "
            "read metrics, and nothing else. login: lets a browser open one session of the panel, as `/?login=TOKEN`."
        ),
    ]
    ttl: (
        Annotated[
            DurationMs,
            Meta(
                description="How long it is valid. Left out: an hour for join, 10 minutes for login, for ever for api "
                "and metrics. Text: 90s."
            ),
        ]
        | None
    ) = None
    uses: Annotated[int, Meta(ge=1, le=10_000, description="How many nodes may join by it.")] = 1
    note: Annotated[str, Meta(max_length=200, description="What it is for; shown in the list.")] = ""
    labels: Annotated[
        dict[LabelKey, LabelValue], Meta(max_length=64, description="Put on each node that joins by it.")
    ] = field(default_factory=dict)


class RevokeTokenRequest(Request, frozen=True, kw_only=True):
    id: TokenId
    force: Annotated[
        bool, Meta(description="Even if it is the last API token that is valid: nobody else can call the API then.")
    ] = False


async def _list(runtime: Runtime, _: Context, asked: ListTokensRequest) -> Answer[inv.TokenList]:
    def walk(state: FabricState, after: Key | None) -> Iterator[Token | None]:
        # Those that ended before are kept to say who did what, and would hide the others here.
        since_ms = runtime.now_ms() - LISTED_MS
        tokens = sorted((one for one in state.tokens.values() if not is_long_dead(one, since_ms)), key=_key)
        return (token for token in tokens if _matches(token, asked.purpose) and (after is None or _key(token) > after))

    page = await page_of(
        runtime,
        list_name=f"tokens {asked.purpose}",
        cursor=asked.cursor,
        limit=asked.limit,
        shape=(int, str),
        walk=walk,
        key=lambda _, token: _key(token),
    )
    now_ms = runtime.now_ms()
    items = tuple(show_token(token, now_ms) for token in page.items)
    revision = page.state.revision
    return Answer(inv.TokenList(items=items, revision=revision, next_cursor=page.next_cursor), revision)


def _key(token: Token) -> tuple[int, str]:
    return token.created_ms, token.id


def _matches(token: Token, purpose: str) -> bool:
    return purpose in ("", token.purpose.value)


async def _create(runtime: Runtime, context: Context, asked: CreateTokenRequest) -> Answer[inv.TokenCreated]:
    purpose = TokenPurpose(asked.purpose)
    ttl = asked.ttl
    if ttl is None:
        ttl = _TTL_MS[purpose]
    elif ttl == 0:
        raise failed("invalid", "a token that is valid for no time is of no use", hint="leave ttl out, or ttl=1h")
    elif purpose is TokenPurpose.JOIN and ttl > MAX_JOIN_TTL_MS:
        raise failed("invalid", "a join token is valid for 30 days at most", hint="make another when it is needed")
    elif purpose is TokenPurpose.LOGIN and ttl > MAX_LOGIN_TTL_MS:
        raise failed("invalid", "a login is valid for a day at most", hint="make another when it is needed")
    elif ttl > MAX_API_TTL_MS:
        raise failed("invalid", "a token is valid for 10 years at most", hint="without a ttl it does not expire")
    drawn = runtime.new_token(purpose)
    command = cm.IssueToken(
        id=drawn.id,
        purpose=purpose,
        digest=drawn.digest,
        expires_ms=runtime.now_ms() + ttl if ttl else 0,
        uses=asked.uses,
        note=asked.note,
        labels=asked.labels,
    )
    made = await change(runtime, context, command)
    if made.replayed:
        raise failed(
            "conflict",
            "a token was made for an earlier request with this idempotency key; its text was in that answer only",
            hint="list the tokens, revoke it if the answer was lost, and ask anew with another key",
        )
    token = made.state.tokens.get(drawn.id)
    shown = show_token(token, runtime.now_ms()) if token is not None and not made.dry_run else None
    text = "" if made.dry_run else drawn.text
    return Answer(
        inv.TokenCreated(token=shown, text=text, revision=made.revision, dry_run=made.dry_run),
        made.revision,
        created=not made.dry_run,
    )


async def _revoke(runtime: Runtime, context: Context, asked: RevokeTokenRequest) -> Answer[inv.TokenRevoked]:
    made = await change(runtime, context, cm.RevokeToken(id=asked.id, force=asked.force))
    token = made.state.tokens.get(asked.id)
    return Answer(
        inv.TokenRevoked(
            token=show_token(token, runtime.now_ms()) if token is not None else None,
            revision=made.revision,
            dry_run=made.dry_run,
            replayed=made.replayed,
        ),
        made.revision,
        replayed=made.replayed,
    )


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="tokens.list",
        rpc="ListTokens",
        summary="List the tokens, oldest first, without their secrets.",
        method="GET",
        path="/v1/tokens",
        input=ListTokensRequest,
        output=inv.TokenList,
        permission=Permission("read", "token"),
        handler=_list,
    ),
    Operation(
        name="tokens.create",
        rpc="CreateToken",
        summary="Make a join token, an API token or a login.",
        description="Its text is in this answer only. A repetition with the same idempotency key is refused.",
        method="POST",
        path="/v1/tokens",
        input=CreateTokenRequest,
        output=inv.TokenCreated,
        permission=PERMISSIONS[cm.IssueToken],
        failures=("conflict", "limit"),
        handler=_create,
        writes=True,
        idempotent=False,
        dry_run=True,
    ),
    Operation(
        name="tokens.revoke",
        rpc="RevokeToken",
        summary="Revoke a token: from now on it opens nothing.",
        description="Nodes that joined by it stay. The last API token that is valid is kept, unless `force` is given.",
        method="DELETE",
        path="/v1/tokens/{id}",
        input=RevokeTokenRequest,
        output=inv.TokenRevoked,
        permission=PERMISSIONS[cm.RevokeToken],
        failures=("not-found", "conflict"),
        handler=_revoke,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
)
