"""Whoever asked for something, in words that a person understands and can act on. Pure."""

from typing import Final

from omnitide.fabric.authorize import TOKEN
from omnitide.fabric.state import FabricState, Token, TokenPurpose

_MOST: Final = 60
"""Of a note, which may be long."""


def caller_words(state: FabricState, principal: str) -> str:
    """`administrator (token 2k3...)`, `administrator in Firefox on Linux (session 2k3...)`; empty for the fabric's own
    parts and for nodes. The id, by which `omnitide token revoke` ends it, is last: a note may say whatever it likes."""
    kind, _, identifier = principal.partition(":")
    if kind != TOKEN:
        return ""
    token = state.tokens.get(identifier)
    if token is None:
        return f"a token that is gone ({identifier})"
    if token.purpose is TokenPurpose.SESSION:
        owner = state.tokens.get(token.principal.partition(":")[2])
        name = (_note(owner) if owner is not None else "") or f"token {token.principal.partition(':')[2]}"
        return f"{name} in {_note(token) or 'a browser'} (session {identifier})"
    what = "token" if token.purpose is TokenPurpose.API else f"{token.purpose.value} token"
    note = _note(token)
    return f"{note} ({what} {identifier})" if note else f"{what} {identifier}"


def _note(token: Token) -> str:
    note = " ".join(token.note.split())
    return note if len(note) <= _MOST else f"{note[: _MOST - 1]}…"
