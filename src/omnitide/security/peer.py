"""Who is at the other end: the trust bundle, and the application's own check of a peer's certificate.

TLS has verified the chain already when a session begins; this check is made again on every session because TLS does
not know roles, and because gRPC hands the application a certificate, not a verdict (DESIGN, "Session over a link").
Path validation is that of `cryptography.x509.verification`; what is ours is the profile and the reasons.
"""

import datetime as dt
import functools
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from omnitide.security.certificates import (
    BadCertificate,
    certificates_pem,
    is_p256,
    load_certificates,
    public_key_digest,
    require_aware,
    serial_text,
)
from omnitide.security.errors import SecurityError
from omnitide.security.names import InvalidName, Role, SpiffeId, parse_fabric_uri, parse_spiffe_id

MAX_CHAIN = 4
MAX_ROOTS = 2
"""The one in use, and the next or the last one during a rotation."""
MAX_INTERMEDIATES = 12

EXTENDED_KEY_USAGE: dict[Role, tuple[ObjectIdentifier, ...]] = {
    Role.NEXUS: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    Role.NODE: (ExtendedKeyUsageOID.CLIENT_AUTH,),
    Role.SERVICE: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
}
"""What each role's certificates, and the intermediate above them, may be used for."""


class BadTrustBundle(SecurityError):
    """These certificates are no trust bundle of one fabric."""


class PeerRefused(SecurityError):
    """A peer's certificate does not prove what was asked. `reason` is for programs; subclasses set it."""

    reason = "refused"


class MalformedPeer(PeerRefused):
    """No certificate, one that cannot be read, or one that does not have the fabric's form."""

    reason = "malformed"


class WrongFabric(PeerRefused):
    """The certificate belongs to another fabric."""

    reason = "wrong-fabric"

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"the peer belongs to fabric {actual!r}, not to {expected!r}")
        self.expected = expected
        self.actual = actual


class WrongRole(PeerRefused):
    """The certificate is the fabric's, but of another kind than needed here."""

    reason = "wrong-role"

    def __init__(self, expected: Role, actual: str) -> None:
        super().__init__(f"the peer proves to be a {actual}; here a {expected} is needed")
        self.expected = expected
        self.actual = actual


class CertificateNotYetValid(PeerRefused):
    reason = "not-yet-valid"

    def __init__(self, not_before: dt.datetime, now: dt.datetime) -> None:
        super().__init__(f"the certificate is valid from {not_before.isoformat()}; it is {now.isoformat()} here")
        self.not_before = not_before
        self.now = now


class CertificateExpired(PeerRefused):
    reason = "expired"

    def __init__(self, not_after: dt.datetime, now: dt.datetime) -> None:
        super().__init__(f"the certificate ended at {not_after.isoformat()}; it is {now.isoformat()} here")
        self.not_after = not_after
        self.now = now


class UntrustedIssuer(PeerRefused):
    """No path leads from the certificate to a root of this fabric."""

    reason = "untrusted"


@dataclass(frozen=True)
class Identity:
    """A peer that has been verified."""

    fabric_id: str
    role: Role
    id: str
    serial: str
    """Of the certificate, lower-case hex."""
    public_key_digest: str
    """`sha256:<hex>`; compare it with the one on record to tell a second holder of the same name."""
    not_after: dt.datetime


@dataclass(frozen=True)
class TrustBundle:
    """The CA certificates of one fabric: one root, two during a rotation, and the intermediates known so far.

    Only the roots are trust anchors. Intermediates are carried along because some peers show their leaf alone.
    """

    fabric_id: str
    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]

    @classmethod
    def parse(cls, pem: bytes | str) -> "TrustBundle":
        """Read a bundle from PEM. Raises BadTrustBundle."""
        try:
            return cls.of(load_certificates(pem))
        except BadTrustBundle:
            raise
        except Exception as error:
            # As in verify_peer: damage surfaces lazily and in several types.
            raise BadTrustBundle(f"the trust bundle cannot be read: {error}") from error

    @classmethod
    def of(cls, certificates: Iterable[x509.Certificate]) -> "TrustBundle":
        """Sort certificates into a bundle, and check that each is a CA of one and the same fabric, and that each
        intermediate is signed by one of the roots. Dates are checked on use. Raises BadTrustBundle."""
        unique = tuple(dict.fromkeys(certificates))
        roots = tuple(c for c in unique if c.subject == c.issuer)
        intermediates = tuple(c for c in unique if c.subject != c.issuer)
        if not 1 <= len(roots) <= MAX_ROOTS or len(intermediates) > MAX_INTERMEDIATES:
            raise BadTrustBundle(
                f"a trust bundle has 1 to {MAX_ROOTS} roots and up to {MAX_INTERMEDIATES} intermediates;"
                f" this one has {len(roots)} and {len(intermediates)}"
            )
        fabrics = {_ca_fabric(c) for c in unique}
        if len(fabrics) != 1:
            raise BadTrustBundle(f"certificates of several fabrics in one bundle: {', '.join(sorted(fabrics))}")
        for certificate in unique:
            if not any(_issued_by(certificate, root) for root in roots):
                raise BadTrustBundle(f"{certificate.subject.rfc4514_string()} is signed by no root of the bundle")
        return cls(fabrics.pop(), roots, intermediates)

    @property
    def pem(self) -> bytes:
        """All certificates, roots first; what `parse` reads."""
        return certificates_pem((*self.roots, *self.intermediates))

    @property
    def roots_pem(self) -> bytes:
        """The trust anchors alone, for TLS stacks: gRPC takes any certificate given there as an anchor, and an
        intermediate as anchor would escape the root's constraints."""
        return certificates_pem(self.roots)

    def only(self, root: x509.Certificate) -> "TrustBundle":
        """The part of the bundle under one root. Raises BadTrustBundle if the root is not in it."""
        return TrustBundle.of((root, *(c for c in self.intermediates if _issued_by(c, root))))

    @functools.cached_property
    def store(self) -> Store:
        return Store(list(self.roots))


def verify_peer(chain: bytes | str, bundle: TrustBundle, role: Role, now: dt.datetime) -> Identity:
    """Verify that a peer is what it has to be here, and say who it is.

    `chain`: the peer's certificate in PEM (gRPC: `x509_pem_cert` of the auth context) or DER, followed by intermediates
    if it showed them; those of the bundle are used as well. Possession of the key is TLS's part. Whether the identity
    is still welcome (removed node, replaced key) is the caller's: compare `id` and `public_key_digest` with the state.
    Raises a subclass of PeerRefused.
    """
    now = require_aware(now)
    try:
        return _verify(chain, bundle, role, now)
    except PeerRefused:
        raise
    except Exception as error:
        # Certificates are decoded lazily: damage surfaces as several unrelated types from any access to them.
        raise MalformedPeer(f"the peer's certificate is damaged: {error}") from error


def _verify(chain: bytes | str, bundle: TrustBundle, role: Role, now: dt.datetime) -> Identity:
    try:
        certificates = load_certificates(chain)
    except BadCertificate as error:
        raise MalformedPeer(f"the peer's certificate cannot be read: {error}") from error
    if len(certificates) > MAX_CHAIN:
        raise MalformedPeer(f"the peer shows {len(certificates)} certificates; a chain has at most {MAX_CHAIN}")
    leaf, shown = certificates[0], certificates[1:]
    name = _leaf_identity(leaf)
    if name.fabric_id != bundle.fabric_id:
        raise WrongFabric(bundle.fabric_id, name.fabric_id)
    if name.role is not role:
        raise WrongRole(role, name.role)
    if now < leaf.not_valid_before_utc:
        raise CertificateNotYetValid(leaf.not_valid_before_utc, now)
    if now > leaf.not_valid_after_utc:
        raise CertificateExpired(leaf.not_valid_after_utc, now)
    issuer = _verified_issuer(leaf, list(dict.fromkeys((*bundle.intermediates, *shown))), bundle, now)
    if _unit(issuer) != role:
        raise WrongRole(role, f"{name.role} by name, but certified by the {_unit(issuer)} CA")
    return Identity(
        fabric_id=name.fabric_id,
        role=name.role,
        id=name.id,
        serial=serial_text(leaf),
        public_key_digest=public_key_digest(leaf.public_key()),
        not_after=leaf.not_valid_after_utc,
    )


def _verified_issuer(
    leaf: x509.Certificate, intermediates: list[x509.Certificate], bundle: TrustBundle, now: dt.datetime
) -> x509.Certificate:
    # The client verifier serves for servers too: every role may act as client, and the server's name is not checked
    # here (see `join`), which the server verifier would insist on.
    verifier = PolicyBuilder().store(bundle.store).time(now).max_chain_depth(1).build_client_verifier()
    try:
        return verifier.verify(leaf, intermediates).chain[1]
    except VerificationError as error:
        if not any(_issued_by(leaf, candidate) for candidate in intermediates):
            raise UntrustedIssuer(
                f"the peer's certificate is not from the CA of fabric {bundle.fabric_id!r} that is trusted here"
                f" (its issuer: {leaf.issuer.rfc4514_string()})"
            ) from error
        raise UntrustedIssuer(f"the peer's certificate chain does not hold: {error}") from error


def _leaf_identity(leaf: x509.Certificate) -> SpiffeId:
    """The one identity of a leaf that has the fabric's form. Raises MalformedPeer."""
    try:
        extensions = leaf.extensions
        san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        uris = san.get_values_for_type(x509.UniformResourceIdentifier)
        identity = parse_spiffe_id(uris[0] if len(uris) == 1 else "")
        key = leaf.public_key()
    except x509.ExtensionNotFound as error:
        raise MalformedPeer(f"the peer's certificate is not of the fabric's form: {error}") from error
    except InvalidName as error:
        raise MalformedPeer(f"the peer's certificate names no single identity of a fabric: {error}") from error
    if constraints.ca or set(usage) != set(EXTENDED_KEY_USAGE[identity.role]) or not is_p256(key):
        raise MalformedPeer(f"the peer's certificate does not have the form of a {identity.role} certificate")
    return identity


def _ca_fabric(certificate: x509.Certificate) -> str:
    """The fabric whose CA this is. Raises BadTrustBundle."""
    label = certificate.subject.rfc4514_string()
    try:
        extensions = certificate.extensions
        san = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        uris = san.get_values_for_type(x509.UniformResourceIdentifier)
        fabric_id = parse_fabric_uri(uris[0] if len(uris) == 1 else "")
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, InvalidName) as error:
        raise BadTrustBundle(f"{label} is not a CA certificate of a fabric: {error}") from error
    if not constraints.ca:
        raise BadTrustBundle(f"{label} is not a CA certificate")
    return fabric_id


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _unit(certificate: x509.Certificate) -> str:
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(units[0].value) if units else "unknown"
