"""Rules of the sessions of browsers: one is opened by a login, once, or by an API token."""

from typing import Final

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.authorize import opens
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.access import MAX_NOTE, require_room_for_token
from omnitide.fabric.state import FabricState, Token, TokenPurpose

MAX_SESSION_MS: Final = 30 * 24 * 3_600_000
AGAIN: Final = "a new link: omnitide panel, on a machine that has a token"


def holder(state: FabricState, token: Token) -> str:
    """The principal that a session opened by this token is of: always an API token, so that revoking it ends all."""
    if token.purpose is TokenPurpose.API:
        return f"token:{token.id}"
    maker = state.tokens.get(token.principal.partition(":")[2])
    # A link that was made in a session is of whoever opened that session.
    return maker.principal if maker is not None and maker.purpose is TokenPurpose.SESSION else token.principal


def open_session(draft: Draft, command: cm.OpenSession) -> None:
    now_ms = draft.header.time_ms
    shown = draft.state.tokens.get(command.by)
    if shown is None or shown.purpose not in (TokenPurpose.LOGIN, TokenPurpose.API):
        raise Refuse("forbidden", "this opens no session", hint=AGAIN)
    login = shown.purpose is TokenPurpose.LOGIN
    what = "login link" if login else "token"
    if login and shown.uses_left < 1:
        raise Refuse("forbidden", "this login link has been used: each opens one session", hint=AGAIN)
    if shown.revoked:
        raise Refuse("forbidden", f"this {what} was revoked", hint=AGAIN)
    if shown.expires_ms and shown.expires_ms <= now_ms:
        raise Refuse("expired", f"this {what} has expired", hint=AGAIN)
    # The shell names the principal; a session is never of anyone else than whom the token makes it.
    if draft.header.principal != holder(draft.state, shown) or not opens(draft.state, draft.header.principal, now_ms):
        raise Refuse("forbidden", f"whoever made this {what} has no valid token any more", hint=AGAIN)
    if not command.id or command.id in draft.state.tokens:
        raise Refuse("already-exists", f"session {command.id!r} exists")
    if not now_ms < command.expires_ms <= now_ms + MAX_SESSION_MS:
        raise Refuse("invalid", "a session ends after it has begun, and within 30 days")
    if len(command.note) > MAX_NOTE:
        raise Refuse("limit", f"a session has a note of {MAX_NOTE} characters at most")
    require_room_for_token(draft)
    if login:
        draft.emit(ev.TokenUsed(id=shown.id, node=""))
    draft.emit(
        ev.TokenIssued(
            id=command.id,
            purpose=TokenPurpose.SESSION,
            digest=command.digest,
            expires_ms=command.expires_ms,
            note=command.note,
        )
    )
