"""Who calls: a bearer token, or a browser's session, verified against the digests in the fabric's state. Nothing is
open but what says so.

Wrong tokens are answered, and counted by address: someone who keeps on trying is told to wait. A right token is never
made to wait by what others do from the same address.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from omnitide.fabric.state import Token, TokenPurpose
from omnitide.model.problem import problem
from omnitide.operations.failures import Failed
from omnitide.operations.logins import session_is_open
from omnitide.operations.runtime import Runtime
from omnitide.security.errors import SecurityError
from omnitide.security.tokens import (
    MAX_TOKEN_CHARS,
    ApiToken,
    MalformedToken,
    SessionToken,
    matches,
    parse_api_token,
    parse_session_token,
    proof_of,
)
from omnitide.telemetry import logs

MAX_FAILURES: Final = 20
"""Wrong tokens from one address within WINDOW_MS; further ones are answered with 429."""
WINDOW_MS: Final = 60_000
MAX_VERIFIED: Final = 1024
"""Texts that are remembered as verified."""
MAX_ADDRESSES: Final = 4096
"""Addresses that are kept count of; the one that was wrong longest ago is forgotten first."""

_log = logs.get(__name__)


class _Count(NamedTuple):
    since_ms: int
    failures: int


class _Verified(NamedTuple):
    """What a text has been verified against."""

    id: str
    digest: str


_SHOWN: Final = frozenset({TokenPurpose.API, TokenPurpose.METRICS})
"""Of the tokens that are API tokens by their form; what each may do is for `authorize` to say."""


class _Wrong(Exception):
    """Why a text is no token that is taken."""


def _text_of(authorization: str) -> str:
    """Raises _Wrong."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise _Wrong("only bearer tokens are taken")
    return text


class Authenticator:
    """Turns what a caller shows into a principal."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        """By digest of the text. Revocation and expiry are looked up each time; the secret is not computed anew."""

    def bearer(self, authorization: str | None, peer: str) -> str:
        """The principal of an `Authorization` header. Raises Failed."""
        if not authorization:
            # Not an attempt: a browser, or someone who has not read that a token is needed.
            raise Failed(problem("unauthenticated", "no token was shown", hint="send `Authorization: Bearer oma_...`"))
        try:
            return self._principal(_text_of(authorization))
        except _Wrong as wrong:
            raise self._wrong(peer, str(wrong)) from wrong

    def recognises(self, authorization: str | None) -> bool:
        """Whether `bearer` would give a principal. Counts nothing: who is refused for it shows the header again."""
        if not authorization:
            return False
        try:
            self._principal(_text_of(authorization))
        except _Wrong:
            return False
        return True

    def token(self, text: str, peer: str) -> str:
        """The principal of an API token's text. Raises Failed."""
        try:
            return self._principal(text)
        except _Wrong as wrong:
            raise self._wrong(peer, str(wrong)) from wrong

    def session(self, cookie: str, proof: str, peer: str) -> str:
        """The principal of a session's cookie and of the proof beside it. Raises Failed."""
        try:
            session = self._session(cookie)
        except _Wrong as wrong:
            raise self._wrong(peer, str(wrong)) from wrong
        # What follows concerns one who was let in: nothing that is tried out.
        if not session_is_open(self._runtime, session):
            raise Failed(problem("unauthenticated", "your session has ended", hint="log in again"))
        if not proof or not self._proves(session, proof):
            detail = "a session's cookie opens nothing without its proof, which only the panel's own pages have"
            raise Failed(problem("unauthenticated", detail, hint="log in again"))
        return f"token:{session.id}"

    def _session(self, cookie: str) -> Token:
        """Raises _Wrong."""
        if len(cookie) > MAX_TOKEN_CHARS:
            raise _Wrong("this is too long for a session")
        known = self._runtime.committed().tokens.get(self._identify(cookie, parse_session_token))
        if known is None or known.purpose is not TokenPurpose.SESSION:
            raise _Wrong("your session is not known here")
        return known

    def _proves(self, session: Token, proof: str) -> bool:
        try:
            expected = proof_of(session.id, session.digest, self._runtime.token_keys())
        except SecurityError as error:
            _log.error("a session cannot be verified", token=session.id, reason=str(error))
            return False
        return hmac.compare_digest(expected.encode(), proof.encode(errors="replace"))

    def _principal(self, text: str) -> str:
        """Raises _Wrong."""
        text = text.strip()
        if len(text) > MAX_TOKEN_CHARS:
            raise _Wrong("this is too long for a token")
        identifier = self._identify(text, parse_api_token)
        known = self._runtime.committed().tokens.get(identifier)
        if known is None or known.purpose not in _SHOWN or known.revoked:
            raise _Wrong("the token is unknown or was revoked")
        if known.expires_ms and known.expires_ms <= self._runtime.now_ms():
            raise _Wrong("the token has expired")
        return f"token:{known.id}"

    def _identify(self, text: str, parse: Callable[[str], ApiToken | SessionToken]) -> str:
        """Id of the token whose secret this text has. Raises _Wrong."""
        key = hashlib.sha256(text.encode(errors="replace")).digest()
        remembered = self._verified.get(key)
        if remembered is not None:
            known = self._runtime.committed().tokens.get(remembered.id)
            if known is not None and known.digest == remembered.digest:
                return known.id
        try:
            token = parse(text)
        except MalformedToken as error:
            raise _Wrong(str(error)) from error
        known = self._runtime.committed().tokens.get(token.id)
        # An unknown id is compared with something too, so that the time taken does not tell it from a wrong secret.
        stored = known.digest if known is not None else "sha256:" + "0" * 64
        if not self._matches(token, stored) or known is None:
            raise _Wrong("the token is unknown or was revoked")
        self._verified[key] = _Verified(known.id, known.digest)
        if len(self._verified) > MAX_VERIFIED:
            self._verified.popitem(last=False)
        return known.id

    def _matches(self, token: ApiToken | SessionToken, stored: str) -> bool:
        try:
            return matches(token, stored, self._runtime.token_keys())
        except SecurityError as error:
            _log.error("a token cannot be verified", token=token.id, reason=str(error))
            return False

    def failed_token(self, peer: str) -> Failed | None:
        """Count a join or login that was refused for its token; the failure to answer with if there were too many."""
        return self._count(peer)

    def _wrong(self, peer: str, detail: str) -> Failed:
        hint = "a new one: omnitide token create --api, where one still opens; or omnitide up, where Nexus runs"
        return self._count(peer) or Failed(problem("unauthenticated", detail, hint=hint))

    def _count(self, peer: str) -> Failed | None:
        now_ms = self._runtime.now_ms()
        count = self._counts.pop(peer, None)
        if count is None or now_ms - count.since_ms >= WINDOW_MS:
            count = _Count(now_ms, 0)
        self._counts[peer] = count = _Count(count.since_ms, count.failures + 1)
        if len(self._counts) > MAX_ADDRESSES:
            self._counts.popitem(last=False)
        if count.failures <= MAX_FAILURES:
            return None
        if count.failures == MAX_FAILURES + 1:
            _log.warning("many wrong tokens", peer=peer, within_s=(now_ms - count.since_ms) // 1000)
        wait = max(1, (WINDOW_MS - (now_ms - count.since_ms)) // 1000)
        return Failed(
            problem("throttled", f"{MAX_FAILURES} wrong tokens within a minute from {peer}", retry_after_s=wait)
        )
