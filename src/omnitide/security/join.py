"""How a machine joins a fabric: hop by hop, so that a failure names the first one that is broken.

The token carries the fingerprint of the fabric's root CA. So the first question, asked of somebody unknown, is for the
CA certificates; only when their root has that fingerprint, and a second connection has proved to be a Nexus under that
very root, is the token sent. Whoever sits in between sees neither token nor facts.
"""

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from omnitide.security.certificates import (
    BadCertificate,
    fingerprint,
    from_ms,
    make_csr,
    private_key_pem,
    utc_now,
)
from omnitide.security.errors import SecurityError
from omnitide.security.identity import MAX_ENDPOINTS, IdentityMismatch, IdentityStore, NodeIdentity
from omnitide.security.join_contract import (
    CA_PATH,
    JOIN_PATH,
    MAX_FACTS_BYTES,
    CaAnswer,
    Hop,
    JoinAnswer,
    JoinFailed,
    JoinProblem,
    JoinRequest,
)
from omnitide.security.join_transport import (
    Address,
    Connection,
    Response,
    Timeouts,
    open_tls,
    parse_url,
    request,
    resolve,
)
from omnitide.security.names import Role
from omnitide.security.peer import (
    BadTrustBundle,
    CertificateExpired,
    CertificateNotYetValid,
    PeerRefused,
    TrustBundle,
    verify_peer,
)
from omnitide.security.tls import fabric_client_context, first_contact_context
from omnitide.security.tokens import JoinToken, MalformedToken, parse_join_token

MAX_SKEW = dt.timedelta(minutes=5)
"""By how much clocks may differ without a word. Certificates are backdated by as much."""

_CLOCK_HINT = "Set this machine's clock (for example: timedatectl set-ntp true) and join again."
_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL
_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Clock = Callable[[], dt.datetime]


@dataclass(frozen=True)
class JoinResult:
    """A join that succeeded; the identity is stored."""

    identity: NodeIdentity
    name: str
    """By which the fabric calls this node."""
    clock_skew_ms: int
    """Nexus's clock minus ours, to within a second or so."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Contact:
    """What the first contact told, once its fingerprint was found right."""

    bundle: TrustBundle
    skew: dt.timedelta
    """Server's clock minus ours, zero if it told none; not authenticated, so it may end a join but never excuse one."""


async def join(
    url: str,
    token: str,
    facts: Mapping[str, object],
    directory: Path,
    *,
    clock: Clock = utc_now,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
    on_hop: Callable[[Hop], None] | None = None,
    replace: bool = False,
) -> JoinResult:
    """Join the fabric whose Nexus is at `url` and store the identity in `directory`.

    The private key is made here, stored with mode 0600, and never sent; a join that is repeated with the same directory
    uses the same key. `on_hop` is called with each hop before it is taken, when the one before it has
    been passed (`route` stands for all up to the first connection). With `replace`, an identity that is there is
    replaced once the join has succeeded. Raises JoinFailed; InsecureFile or OSError if the directory cannot be used.
    """
    store = IdentityStore(directory)
    await asyncio.to_thread(_check_not_joined, store, replace=replace)
    parsed = _parse_token(token)
    body_facts = dict(facts)
    if len(msgspec.json.encode(body_facts)) > MAX_FACTS_BYTES:
        raise JoinFailed(Hop.IDENTITY, f"the facts about this node exceed {MAX_FACTS_BYTES} bytes", "Send fewer.")
    address = parse_url(url)

    _tell(on_hop, Hop.NAME)
    candidates = await resolve(address, timeouts)
    _tell(on_hop, Hop.ROUTE)
    async with open_tls(address, candidates, first_contact_context(), timeouts) as connection:
        contact = await _first_contact(connection, parsed, clock, timeouts, on_hop)
    _tell(on_hop, Hop.CLOCK)
    _check_clock(contact.skew, clock())

    key = await asyncio.to_thread(store.join_key)
    join_request = JoinRequest(parsed.text, make_csr(key).decode(), body_facts)
    _tell(on_hop, Hop.TLS)

    async def ask(connection: Connection) -> Response:
        _tell(on_hop, Hop.TOKEN)
        return await request(connection, "POST", JOIN_PATH, Hop.TOKEN, timeouts, msgspec.json.encode(join_request))

    response = await _with_nexus(address, candidates, contact, clock, timeouts, ask)
    answer = _join_answer(response)
    _tell(on_hop, Hop.IDENTITY)
    now = clock()
    identity = NodeIdentity(
        fabric_id=answer.fabric_id,
        node_id=answer.node_id,
        private_key_pem=private_key_pem(key),
        certificate_pem=answer.certificate_pem,
        trust_bundle_pem=answer.trust_bundle_pem,
        endpoints=tuple(answer.endpoints[:MAX_ENDPOINTS]),
    )
    skew = from_ms(answer.server_time_ms) - now
    _check_identity(identity, contact.bundle, skew, now)
    await asyncio.to_thread(store.finish_join, identity)
    warnings = (_skew_text(skew) + ". " + _CLOCK_HINT,) if abs(skew) > MAX_SKEW else ()
    return JoinResult(identity, answer.name or answer.node_id, round(skew.total_seconds() * 1000), warnings)


def _tell(on_hop: Callable[[Hop], None] | None, hop: Hop) -> None:
    if on_hop is not None:
        on_hop(hop)


def _check_not_joined(store: IdentityStore, *, replace: bool) -> None:
    if replace or not store.exists():
        return
    try:
        known = store.load()
        detail = f"this machine is already node {known.node_id} of fabric {known.fabric_id}"
    except SecurityError as error:
        detail = f"there is an identity already, and it cannot be read ({error})"
    raise JoinFailed(Hop.IDENTITY, detail, "To give it up and join anew, say so: --replace.")


def _parse_token(token: str) -> JoinToken:
    try:
        return parse_join_token(token)
    except MalformedToken as error:
        hint = "A new one: omnitide token create, on a machine with access to the fabric."
        raise JoinFailed(Hop.TOKEN, str(error), hint) from error


async def _first_contact(
    connection: Connection, token: JoinToken, clock: Clock, timeouts: Timeouts, on_hop: Callable[[Hop], None] | None
) -> _Contact:
    """Ask an unknown peer for its CA, and believe it only if the token's fingerprint says so."""
    _tell(on_hop, Hop.PORT)
    asked = clock()
    response = await request(connection, "GET", CA_PATH, Hop.PORT, timeouts)
    answered = clock()
    where = connection.address.text
    if response.status != 200:
        detail = f"what listens on {where} answered {CA_PATH} with status {response.status}: it is no Nexus, or not yet"
        hint = "Check host and port; the default port of Nexus is 7400."
        raise JoinFailed(Hop.PORT, detail, hint, retryable=response.status >= 500)
    _tell(on_hop, Hop.FINGERPRINT)
    try:
        bundle = TrustBundle.parse(_bundle_pem(response.body))
    except (BadTrustBundle, *_NOT_JSON) as error:
        detail = f"what listens on {where} showed no CA of a fabric ({error})"
        raise JoinFailed(Hop.FINGERPRINT, detail, "Check host and port.") from error
    for root in bundle.roots:
        if token.trusts(fingerprint(root)):
            # Of what a stranger sent, nothing but what hangs on this root counts: not even a second root beside it.
            return _Contact(bundle.only(root), _skew(response, asked + (answered - asked) / 2))
    shown = ", ".join(fingerprint(root).hex()[:32] for root in bundle.roots)
    detail = f"the CA of {where} is not the one in the token (shown: {shown}; token: {token.ca_fingerprint.hex()})"
    hint = "Either the token is of another fabric, or someone stands between here and Nexus. The token was not sent."
    raise JoinFailed(Hop.FINGERPRINT, detail, hint)


def _bundle_pem(body: bytes) -> str:
    if body.lstrip().startswith(b"-----BEGIN"):
        return body.decode()
    return msgspec.json.decode(body, type=CaAnswer).trust_bundle_pem


def _skew(response: Response, now: dt.datetime) -> dt.timedelta:
    try:
        return parsedate_to_datetime(response.headers["date"]) - now
    except (KeyError, ValueError, TypeError):
        return dt.timedelta(0)


def _check_clock(skew: dt.timedelta, now: dt.datetime) -> None:
    """Stop before the token is spent if the certificate could not be used here: one that begins in our future.

    A clock that is ahead does no such harm (until a whole lifetime ahead); that is warned of in the end.
    """
    if skew > MAX_SKEW:
        detail = f"{_skew_text(skew)} (Nexus: {(now + skew).isoformat(timespec='seconds')})"
        raise JoinFailed(Hop.CLOCK, detail, _CLOCK_HINT + " The token was not used.")


def _skew_text(skew: dt.timedelta) -> str:
    seconds = round(abs(skew.total_seconds()))
    return f"this machine's clock is {seconds} s {'behind' if skew > dt.timedelta(0) else 'ahead of'} that of Nexus"


async def _with_nexus(
    address: Address,
    candidates: list[Address],
    contact: _Contact,
    clock: Clock,
    timeouts: Timeouts,
    ask: Callable[[Connection], Awaitable[Response]],
) -> Response:
    """Ask over a connection whose other end has proved to be Nexus. Raises JoinFailed."""
    try:
        async with open_tls(address, candidates, fabric_client_context(contact.bundle), timeouts) as connection:
            verify_peer(connection.peer_certificate, contact.bundle, Role.NEXUS, clock())
            return await ask(connection)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
            raise _dates_failed(address, error.verify_message, contact.skew, clock()) from error
        detail = f"{address.text} shows the right CA, but its own certificate is not from it ({error.verify_message})"
        hint = "Someone may stand between here and Nexus. The token was not sent."
        raise JoinFailed(Hop.TLS, detail, hint) from error
    except (CertificateNotYetValid, CertificateExpired) as error:
        raise _dates_failed(address, str(error), contact.skew, clock()) from error
    except PeerRefused as error:
        detail = f"{address.text} does not prove to be a Nexus ({error})"
        raise JoinFailed(Hop.TLS, detail, "Check host and port. The token was not sent.") from error


def _dates_failed(address: Address, what: str, skew: dt.timedelta, now: dt.datetime) -> JoinFailed:
    """A certificate out of its dates: the clock's fault if the clocks differ, else the certificate's own."""
    if abs(skew) > MAX_SKEW:
        return JoinFailed(Hop.CLOCK, f"{_skew_text(skew)}, and so {what}", _CLOCK_HINT + " The token was not used.")
    detail = f"the certificate of {address.text} is out of its dates ({what}; it is {now.isoformat()} here)"
    return JoinFailed(Hop.TLS, detail, "If this machine's clock is right, restart Nexus to renew it.", retryable=True)


def _join_answer(response: Response) -> JoinAnswer:
    """The answer of a verified Nexus, or what it says against the join."""
    if response.status in (200, 201):
        try:
            return msgspec.json.decode(response.body, type=JoinAnswer)
        except _NOT_JSON as error:
            detail = f"the answer of Nexus cannot be read ({error})"
            raise JoinFailed(Hop.IDENTITY, detail, "Do Nexus and node have versions that fit?") from error
    try:
        problem = msgspec.json.decode(response.body, type=JoinProblem)
    except _NOT_JSON:
        problem = JoinProblem()
    text = (problem.detail or problem.title or f"status {response.status} without a reason")[:1000].rstrip(".")
    by_status = Hop.TOKEN if response.status in (401, 403, 410) else Hop.IDENTITY
    hop = Hop(problem.hop) if problem.hop in frozenset(Hop) else by_status
    retryable = response.status == 429 or response.status >= 500
    raise JoinFailed(hop, f"Nexus refused: {text}", _refusal_hint(hop, response.status), retryable=retryable)


def _refusal_hint(hop: Hop, status: int) -> str:
    if status == 429 or status >= 500:
        return "Try again in a while."
    if hop is Hop.TOKEN:
        return "Ask for a new token: omnitide token create."
    if status == 409:
        return "If this machine is to take the place of the known one: remove that node first, then join again."
    return "See the log of Nexus for the reason."


def _check_identity(identity: NodeIdentity, contact: TrustBundle, skew: dt.timedelta, now: dt.datetime) -> None:
    """Check that what Nexus issued is usable here, before it is stored. Raises JoinFailed."""
    try:
        identity.verify(now)
        if contact.roots[0] not in identity.trust_bundle.roots:
            raise IdentityMismatch("the trust bundle in the answer lacks the CA that the token names")
    except (CertificateNotYetValid, CertificateExpired) as error:
        if abs(skew) > MAX_SKEW:
            raise JoinFailed(Hop.CLOCK, f"{_skew_text(skew)}, and so {error}", _CLOCK_HINT) from error
        raise JoinFailed(Hop.IDENTITY, f"Nexus issued a useless certificate: {error}", "See Nexus's log.") from error
    except (PeerRefused, IdentityMismatch, BadTrustBundle, BadCertificate) as error:
        raise JoinFailed(Hop.IDENTITY, f"Nexus issued a useless certificate: {error}", "See Nexus's log.") from error
    bad = [endpoint for endpoint in identity.endpoints if not _is_endpoint(endpoint)]
    if bad or not identity.endpoints:
        detail = f"Nexus named no usable endpoints for nodes ({', '.join(bad)[:200] or 'none'})"
        raise JoinFailed(Hop.IDENTITY, detail, "Check Nexus's configuration of its advertised addresses.")


def _is_endpoint(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536
