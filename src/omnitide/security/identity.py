"""A node's own identity on its disk: key, certificate, trust bundle, endpoints; and its renewal without a gap.

All of an identity is one file, so that it changes whole or not at all. A renewal goes through four steps, and a crash
between any two of them loses nothing:

    begin_renewal   a new key in `renewal.key`, its signing request for Nexus
    stage_renewal   the answer beside the old identity, in `identity.next.json`
    promote         once a session with the staged one stood: it replaces the old one
    discard_renewal Nexus refuses the staged one: back to the old one alone

A node that starts and finds a staged identity tries that one first. Until `promote` the old one stays complete.
"""

import datetime as dt
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from omnitide.security.certificates import (
    BadCertificate,
    load_certificates,
    load_private_key,
    make_csr,
    new_private_key,
    private_key_pem,
    public_key_digest,
    renew_due,
)
from omnitide.security.errors import SecurityError
from omnitide.security.names import Role
from omnitide.security.peer import BadTrustBundle, Identity, TrustBundle, verify_peer
from omnitide.security.private_files import read_private, remove_private, replace_private, write_private

IDENTITY_FORMAT = 1
MAX_ENDPOINTS = 16


class NotJoined(SecurityError):
    """This machine has no identity."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"this machine has not joined a fabric: there is no identity in {directory}")
        self.directory = directory


class IdentityDamaged(SecurityError):
    """What is stored is no identity that can be used."""


class IdentityMismatch(SecurityError):
    """A certificate is not the one that was asked for: another key, node or fabric."""


@dataclass(frozen=True)
class NodeIdentity:
    """All that a node needs to prove who it is and to recognise Nexus."""

    fabric_id: str
    node_id: str
    private_key_pem: bytes = field(repr=False)
    certificate_pem: str = field(repr=False)
    """Leaf and intermediate."""
    trust_bundle_pem: str = field(repr=False)
    endpoints: tuple[str, ...]
    """`host:port` of the Nexus replicas' gRPC ports for nodes."""

    @functools.cached_property
    def trust_bundle(self) -> TrustBundle:
        return TrustBundle.parse(self.trust_bundle_pem)

    def renew_due(self, now: dt.datetime) -> bool:
        return renew_due(load_certificates(self.certificate_pem)[0], now)

    def verify(self, now: dt.datetime) -> Identity:
        """Check that certificate, key, bundle and names belong together and hold now.

        Raises PeerRefused (by kind: expired, not yet valid, ...), IdentityMismatch, BadTrustBundle or BadCertificate.
        """
        found = verify_peer(self.certificate_pem, self.trust_bundle, Role.NODE, now)
        if (found.fabric_id, found.id) != (self.fabric_id, self.node_id):
            raise IdentityMismatch(
                f"the certificate is for node {found.id} of fabric {found.fabric_id},"
                f" not for {self.node_id} of {self.fabric_id}"
            )
        if found.public_key_digest != public_key_digest(load_private_key(self.private_key_pem).public_key()):
            raise IdentityMismatch("the certificate was issued for another key than this node's")
        return found


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    fabric_id: str
    node_id: str
    private_key: str
    certificate: str
    trust_bundle: str
    endpoints: tuple[str, ...]


class IdentityStore:
    """A directory (mode 0700) with one node's identity. Its calls block for a sync of the disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._current = directory / "identity.json"
        self._staged = directory / "identity.next.json"
        self._renewal_key = directory / "renewal.key"
        self._join_key = directory / "join.key"

    def load(self) -> NodeIdentity:
        """The identity. An expired one loads too: what then is to be done is the caller's.

        Raises NotJoined, IdentityDamaged or InsecureFile.
        """
        identity = _read(self._current)
        if identity is None:
            raise NotJoined(self.directory)
        return identity

    def exists(self) -> bool:
        return self._current.exists()

    def save(self, identity: NodeIdentity) -> None:
        """Store an identity in place of the last: after a join, or with a newer bundle or endpoints."""
        _write(self._current, identity)

    def remove(self) -> None:
        """Forget everything: the node leaves its fabric."""
        for path in (self._staged, self._renewal_key, self._join_key, self._current):
            remove_private(path)

    def join_key(self) -> ec.EllipticCurvePrivateKey:
        """The key of a join that is under way; kept until it succeeds, so that a repeated join (an answer that was
        lost) shows Nexus the same key and can be answered with the same node."""
        return _key(self._join_key)

    def finish_join(self, identity: NodeIdentity) -> None:
        """Store the first identity and let go of what the join needed."""
        self.discard_renewal()
        self.save(identity)
        remove_private(self._join_key)

    def begin_renewal(self) -> bytes:
        """A signing request in PEM for a new key, the same until it is staged or discarded. Raises NotJoined."""
        if not self.exists():
            raise NotJoined(self.directory)
        return make_csr(_key(self._renewal_key))

    def stage_renewal(
        self, certificate_pem: str, trust_bundle_pem: str, endpoints: Sequence[str], now: dt.datetime
    ) -> NodeIdentity:
        """Check and store Nexus's answer beside the identity in use. Raises as `NodeIdentity.verify` and `load`."""
        current = self.load()
        staged = NodeIdentity(
            fabric_id=current.fabric_id,
            node_id=current.node_id,
            private_key_pem=private_key_pem(_key(self._renewal_key)),
            certificate_pem=certificate_pem,
            trust_bundle_pem=trust_bundle_pem,
            endpoints=tuple(endpoints[:MAX_ENDPOINTS]),
        )
        staged.verify(now)
        # An answer that came over a verified session may replace a root, but never leave out the one that is in use:
        # in a rotation both are there.
        if not set(current.trust_bundle.roots) & set(staged.trust_bundle.roots):
            raise IdentityMismatch("the renewed trust bundle has no root in common with the one in use")
        _write(self._staged, staged)
        remove_private(self._renewal_key)
        return staged

    def staged(self) -> NodeIdentity | None:
        """The identity that was renewed and not yet proved. Raises IdentityDamaged or InsecureFile."""
        return _read(self._staged)

    def promote(self) -> None:
        """The staged identity works: it replaces the old one. No error if nothing is staged."""
        if self._staged.exists():
            replace_private(self._staged, self._current)

    def discard_renewal(self) -> None:
        """Drop a renewal that is under way; the identity in use stays."""
        remove_private(self._staged)
        remove_private(self._renewal_key)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return load_private_key(read_private(path))
    except (FileNotFoundError, BadCertificate):
        # A damaged one was never more than a beginning: no certificate for it has been stored.
        key = new_private_key()
        write_private(path, private_key_pem(key))
        return key


def _write(path: Path, identity: NodeIdentity) -> None:
    stored = _Stored(
        format=IDENTITY_FORMAT,
        fabric_id=identity.fabric_id,
        node_id=identity.node_id,
        private_key=identity.private_key_pem.decode(),
        certificate=identity.certificate_pem,
        trust_bundle=identity.trust_bundle_pem,
        endpoints=identity.endpoints,
    )
    write_private(path, msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n")


def _read(path: Path) -> NodeIdentity | None:
    try:
        data = read_private(path)
    except FileNotFoundError:
        return None
    try:
        stored = msgspec.json.decode(data, type=_Stored)
        if stored.format != IDENTITY_FORMAT:
            raise IdentityDamaged(f"{path} has format {stored.format}; this version reads {IDENTITY_FORMAT}")
        identity = NodeIdentity(
            fabric_id=stored.fabric_id,
            node_id=stored.node_id,
            private_key_pem=stored.private_key.encode(),
            certificate_pem=stored.certificate,
            trust_bundle_pem=stored.trust_bundle,
            endpoints=stored.endpoints,
        )
        key, leaf = load_private_key(identity.private_key_pem), load_certificates(identity.certificate_pem)[0]
        _ = identity.trust_bundle
    except (msgspec.MsgspecError, UnicodeDecodeError, BadCertificate, BadTrustBundle) as error:
        raise IdentityDamaged(f"{path} is damaged: {error}. Join again with a new token") from error
    if public_key_digest(key.public_key()) != public_key_digest(leaf.public_key()):
        raise IdentityDamaged(f"{path} is damaged: its key does not belong to its certificate")
    return identity
