"""What node and Nexus say to each other in a join, and how a join fails. Both sides import this.

    GET  /v1/ca    -> CaAnswer (JSON), or the bundle alone as PEM, as a person with curl would want it
    POST /v1/join  JoinRequest -> 200 JoinAnswer, or a problem (RFC 9457) with an optional `hop`

A node repeats a join whose answer was lost with the same token and the same key: that is the same join, and is answered
with the same node id, not as a second use of the token.

Statuses: 401, 403, 410: the token (mistyped, unknown, expired, used up, revoked). 409: the identity (this node is known
with another key). 400, 422: the request. 429, 503: later. Fields that a side does not know are ignored.
"""

import enum
from typing import Annotated

import msgspec

from omnitide.security.errors import SecurityError

CA_PATH = "/v1/ca"
JOIN_PATH = "/v1/join"
DEFAULT_PORT = 7400
MAX_FACTS_BYTES = 64 << 10
MAX_BODY_BYTES = 256 << 10

TimeMs = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000)]
"""Milliseconds since 1970, up to the year 2100."""


class Hop(enum.StrEnum):
    """The steps of a join, in the order in which they are taken."""

    NAME = "name"
    """The host name becomes an address."""
    ROUTE = "route"
    """Packets reach that address."""
    PORT = "port"
    """A Nexus listens there."""
    TLS = "tls"
    """It speaks TLS, and later proves to be a Nexus of the fabric."""
    FINGERPRINT = "fingerprint"
    """Its CA is the one that the token names."""
    CLOCK = "clock"
    """Both clocks agree well enough for certificates."""
    TOKEN = "token"  # noqa: S105 - the name of a step
    """Nexus accepts the token."""
    IDENTITY = "identity"
    """The certificate given is valid and ours."""


class JoinFailed(SecurityError):
    """A join broke off at `hop`; all hops before it were fine. `retryable`: the same call may succeed later."""

    def __init__(self, hop: Hop, detail: str, hint: str, *, retryable: bool = False) -> None:
        super().__init__(f"join failed at {hop}: {detail}. {hint}")
        self.hop = hop
        self.detail = detail
        self.hint = hint
        self.retryable = retryable


class CaAnswer(msgspec.Struct, frozen=True):
    trust_bundle_pem: str
    fabric_id: str = ""
    server_time_ms: TimeMs = 0


class JoinRequest(msgspec.Struct, frozen=True):
    token: str
    csr_pem: str
    facts: dict[str, object]
    """JSON values, such as host name and platform: what the node says of itself. For people to read, never a proof."""

    def __repr__(self) -> str:
        return "JoinRequest(...)"


class JoinAnswer(msgspec.Struct, frozen=True):
    node_id: str
    fabric_id: str
    certificate_pem: str
    """Leaf and intermediate."""
    trust_bundle_pem: str
    endpoints: list[str]
    server_time_ms: TimeMs
    name: str = ""
    """By which the fabric calls this node."""


class JoinProblem(msgspec.Struct, frozen=True):
    """The fields of a problem response that a join uses."""

    title: str = ""
    detail: str = ""
    hop: str = ""
