"""Names in certificates: who may be called what.

An identity is a SPIFFE URI, `spiffe://<fabric id>/<role>/<id>` (SPIFFE-ID specification, sections 2.1 and 2.2). The DNS
names under `omnitide.internal` are never resolved; they let TLS stacks that insist on a host name check a role.
"""

import enum
import re
from typing import NamedTuple

from omnitide.security.errors import SecurityError


class Role(enum.StrEnum):
    """What a certificate's holder is to the fabric. Each role has an intermediate CA of its own."""

    NEXUS = "nexus"
    NODE = "node"
    SERVICE = "service"


NEXUS_SERVER_NAME = "nexus.omnitide.internal"
"""DNS name in every Nexus certificate and in no other: gRPC clients override the target name with it, because they
reach Nexus by whatever address the network gives them. The CA keeps the other roles from ever holding it."""

ROLE_DOMAINS = {Role.NODE: "node.omnitide.internal", Role.SERVICE: "service.omnitide.internal"}
"""The only DNS subtree that a role's intermediate may certify. Nexus is absent: its names are what people choose."""

_SCHEME = "spiffe://"
_FABRIC_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


class InvalidName(SecurityError, ValueError):
    """A name is outside the grammar."""

    def __init__(self, kind: str, value: str, rule: str) -> None:
        super().__init__(f"{kind} {value[:100]!r} is not valid: {rule}")
        self.kind = kind
        self.value = value


class SpiffeId(NamedTuple):
    """One identity."""

    fabric_id: str
    role: Role
    id: str

    @property
    def uri(self) -> str:
        return f"{_SCHEME}{self.fabric_id}/{self.role}/{self.id}"


def check_fabric_id(value: str) -> str:
    """Give the id back if it is a DNS label that starts with a letter (it is the host part of SPIFFE URIs).

    Raises InvalidName.
    """
    if not _FABRIC_ID.fullmatch(value):
        raise InvalidName("fabric id", value, "1 to 63 of a-z, 0-9 and '-', starting with a letter")
    return value


def spiffe_id(fabric_id: str, role: Role, identifier: str) -> SpiffeId:
    """Build an identity from checked parts. Raises InvalidName."""
    if not _ID.fullmatch(identifier):
        rule = "1 to 63 of letters, digits, '.', '_' and '-', starting and ending with a letter or digit"
        raise InvalidName(f"{role} id", identifier, rule)
    return SpiffeId(check_fabric_id(fabric_id), role, identifier)


def parse_spiffe_id(uri: str) -> SpiffeId:
    """Read an identity from its URI. Raises InvalidName for anything but exactly our form."""
    parts = uri.removeprefix(_SCHEME).split("/") if uri.startswith(_SCHEME) else []
    if len(parts) != 3 or parts[1] not in frozenset(Role):
        raise InvalidName("identity", uri, "expected spiffe://<fabric id>/<nexus|node|service>/<id>")
    return spiffe_id(parts[0], Role(parts[1]), parts[2])


def fabric_uri(fabric_id: str) -> str:
    """The name of the fabric itself (its trust domain), carried by its CA certificates."""
    return _SCHEME + check_fabric_id(fabric_id)


def parse_fabric_uri(uri: str) -> str:
    """The fabric id of a trust domain URI. Raises InvalidName."""
    if not uri.startswith(_SCHEME):
        raise InvalidName("trust domain", uri, "expected spiffe://<fabric id>")
    return check_fabric_id(uri.removeprefix(_SCHEME))
