"""The fabric's certificate authority: one root, one intermediate for each role, and the certificates they issue.

What keeps a node from acting as Nexus, each on its own sufficient:
- The node intermediate carries the extended key usage clientAuth alone; OpenSSL and BoringSSL apply it to all below it.
- The node and service intermediates are constrained to DNS names of their own subtree and to no IP address at all, so
  not even their stolen key can certify the name that gRPC clients expect of Nexus.
- `peer.verify_peer` compares the role in the identity with the role of the intermediate that issued it.
The constraints are DNS and IP, not URI: a URI constraint could only name the fabric (RFC 5280 4.2.1.10 looks at the
host alone), which the fabric's own root implies, and the verifier of `cryptography` does not know them.
"""

import datetime as dt
import functools
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from omnitide.security.certificates import (
    MAX_PEM_BYTES,
    SIGNATURE_HASH,
    certificates_pem,
    is_p256,
    new_private_key,
    private_key_pem,
    public_key_digest,
    require_aware,
    serial_text,
)
from omnitide.security.errors import SecurityError
from omnitide.security.names import (
    NEXUS_SERVER_NAME,
    ROLE_DOMAINS,
    InvalidName,
    Role,
    SpiffeId,
    check_fabric_id,
    fabric_uri,
    spiffe_id,
)
from omnitide.security.peer import EXTENDED_KEY_USAGE, TrustBundle

ROOT_LIFETIME = dt.timedelta(days=3650)
INTERMEDIATE_LIFETIME = dt.timedelta(days=1825)
NODE_LIFETIME = dt.timedelta(days=30)
NEXUS_LIFETIME = dt.timedelta(days=90)
SERVICE_LIFETIME = dt.timedelta(days=30)

BACKDATE = dt.timedelta(minutes=5)
"""How far the start of a certificate lies in the past, for peers whose clock is behind."""

MAX_NEXUS_NAMES = 64
_DNS_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*")
_ALL_ADDRESSES = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


class CsrRefused(SecurityError):
    """A signing request is not one that we sign. `reason`: malformed, proof-of-possession or key-type."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AuthorityExpired(SecurityError):
    """The intermediate that should sign is past its own end: the CA must be rotated first."""

    def __init__(self, role: Role, not_after: dt.datetime) -> None:
        super().__init__(f"the {role} CA ended on {not_after:%Y-%m-%d}: it cannot issue; rotate the fabric's CA")
        self.role = role
        self.not_after = not_after


@dataclass(frozen=True)
class CertifiedKey:
    """A CA certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True)
class Authority:
    """The CA of one fabric. Lives in the keyring; the root signs intermediates only."""

    fabric_id: str
    root: CertifiedKey
    intermediates: Mapping[Role, CertifiedKey]
    also_trusted: tuple[x509.Certificate, ...] = ()
    """CA certificates of another root that this fabric trusts meanwhile: the next one or the last one in a rotation."""

    def trust_bundle(self) -> TrustBundle:
        """Every CA certificate that peers of this fabric are to trust."""
        return self._trust_bundle

    @functools.cached_property
    def _trust_bundle(self) -> TrustBundle:
        # Kept: it is asked for at each connection, and its making verifies each certificate.
        own = (self.root.certificate, *(self.intermediates[role].certificate for role in Role))
        return TrustBundle.of((*own, *self.also_trusted))


@dataclass(frozen=True)
class Issued:
    """A certificate that we issued, with its intermediate; the key is with its owner."""

    identity: SpiffeId
    chain_pem: str
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime
    public_key_digest: str


@dataclass(frozen=True)
class Credentials:
    """A certificate that we issued to ourselves (Nexus or a service of the fabric), with its key."""

    issued: Issued
    private_key_pem: bytes = field(repr=False)


def create_authority(fabric_id: str, now: dt.datetime) -> Authority:
    """Make root and intermediates for a new fabric (or the next root of an old one). Raises InvalidName."""
    check_fabric_id(fabric_id)
    now = require_aware(now)
    root_key = new_private_key()
    root_name = _ca_name(fabric_id, "root", _key_tag(root_key))
    root = _ca_builder(root_name, root_name, root_key, root_key, fabric_id, now, now + ROOT_LIFETIME, path_length=1)
    root_certificate = root.sign(root_key, SIGNATURE_HASH)
    anchor = CertifiedKey(root_certificate, root_key)
    return Authority(fabric_id, anchor, {role: _create_intermediate(anchor, fabric_id, role, now) for role in Role})


def sign_node_csr(
    authority: Authority,
    csr_pem: str | bytes,
    node_id: str,
    now: dt.datetime,
    *,
    lifetime: dt.timedelta = NODE_LIFETIME,
) -> Issued:
    """Issue a node's certificate for the key in a signing request.

    Only the key is taken from the request, after the check that its sender holds it; every name and extension asked for
    is ignored. Raises CsrRefused, InvalidName (node id) or AuthorityExpired.
    """
    identity = spiffe_id(authority.fabric_id, Role.NODE, node_id)
    return _issue(authority, identity, csr_public_key(csr_pem), (), now, lifetime)


def csr_public_key(csr_pem: str | bytes) -> ec.EllipticCurvePublicKey:
    """The key of a signing request whose sender has proved to hold it. Raises CsrRefused."""
    raw = csr_pem.encode() if isinstance(csr_pem, str) else csr_pem
    if len(raw) > MAX_PEM_BYTES:
        raise CsrRefused("malformed", f"a signing request of {len(raw)} bytes; at most {MAX_PEM_BYTES} are read")
    try:
        csr = x509.load_pem_x509_csr(raw)
        key = csr.public_key()
        proved = csr.is_signature_valid
    except Exception as error:
        # Unknown algorithms and malformed keys surface as several unrelated types; all of them mean the same here.
        raise CsrRefused("malformed", "the signing request cannot be read as PKCS #10 in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not is_p256(key):
        raise CsrRefused("key-type", "the signing request's key is not EC P-256, the only kind that the fabric signs")
    if not proved:
        raise CsrRefused("proof-of-possession", "the signing request is not signed by the key that it carries")
    return key


def issue_nexus(
    authority: Authority,
    nexus_id: str,
    names: Sequence[str],
    now: dt.datetime,
    *,
    lifetime: dt.timedelta = NEXUS_LIFETIME,
) -> Credentials:
    """Key and certificate for a Nexus replica, for gRPC and HTTPS alike.

    `names`: host names and IP addresses by which people reach it (host name, configured ones), at most 64; the loopback
    names and NEXUS_SERVER_NAME are always added. Raises InvalidName or AuthorityExpired.
    """
    identity = spiffe_id(authority.fabric_id, Role.NEXUS, nexus_id)
    if len(names) > MAX_NEXUS_NAMES:
        raise InvalidName("list of names", f"{len(names)} names", f"at most {MAX_NEXUS_NAMES}")
    unique = dict.fromkeys((NEXUS_SERVER_NAME, "localhost", "127.0.0.1", "::1", *names))
    key = new_private_key()
    sans = tuple(dict.fromkeys(_host_san(name) for name in unique))
    return Credentials(_issue(authority, identity, key.public_key(), sans, now, lifetime), private_key_pem(key))


def issue_service(
    authority: Authority, name: str, now: dt.datetime, *, lifetime: dt.timedelta = SERVICE_LIFETIME
) -> Credentials:
    """Key and certificate for a service of the fabric, valid as client and as `<name>.service.omnitide.internal`.

    Raises InvalidName or AuthorityExpired.
    """
    identity = spiffe_id(authority.fabric_id, Role.SERVICE, name)
    key = new_private_key()
    sans = (_host_san(f"{name}.{ROLE_DOMAINS[Role.SERVICE]}"),)
    return Credentials(_issue(authority, identity, key.public_key(), sans, now, lifetime), private_key_pem(key))


def is_host_name(name: str) -> bool:
    """Whether a Nexus certificate can carry this host name or IP address."""
    try:
        _host_san(name)
    except InvalidName:
        return False
    return True


def _issue(
    authority: Authority,
    identity: SpiffeId,
    key: ec.EllipticCurvePublicKey,
    sans: Sequence[x509.GeneralName],
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> Issued:
    now = require_aware(now)
    issuer = authority.intermediates[identity.role]
    ceiling = issuer.certificate.not_valid_after_utc
    if now >= ceiling:
        raise AuthorityExpired(identity.role, ceiling)
    # A common name with spaces can be taken for a host name by no TLS stack, whatever the id is.
    common_name = f"omnitide {identity.role} {identity.id}"[:64]
    subject = _name(identity.fabric_id, identity.role, common_name)
    builder = _builder(
        subject, issuer.certificate.subject, key, issuer.key.public_key(), now - BACKDATE, min(now + lifetime, ceiling)
    )
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.uri), *sans])
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(EXTENDED_KEY_USAGE[identity.role]), critical=False)
        .add_extension(san, critical=False)
        .sign(issuer.key, SIGNATURE_HASH)
    )
    return Issued(
        identity=identity,
        chain_pem=certificates_pem((certificate, issuer.certificate)).decode(),
        serial=serial_text(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        public_key_digest=public_key_digest(key),
    )


def _create_intermediate(root: CertifiedKey, fabric_id: str, role: Role, now: dt.datetime) -> CertifiedKey:
    key = new_private_key()
    name = _ca_name(fabric_id, role, _key_tag(key))
    end = min(now + INTERMEDIATE_LIFETIME, root.certificate.not_valid_after_utc)
    builder = _ca_builder(name, root.certificate.subject, key, root.key, fabric_id, now, end, path_length=0)
    builder = builder.add_extension(x509.ExtendedKeyUsage(EXTENDED_KEY_USAGE[role]), critical=False)
    if role in ROLE_DOMAINS:
        constraints = x509.NameConstraints(
            permitted_subtrees=[x509.DNSName(ROLE_DOMAINS[role])],
            excluded_subtrees=[x509.IPAddress(network) for network in _ALL_ADDRESSES],
        )
        builder = builder.add_extension(constraints, critical=True)
    return CertifiedKey(builder.sign(root.key, SIGNATURE_HASH), key)


def _ca_builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    fabric_id: str,
    now: dt.datetime,
    end: dt.datetime,
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(fabric_uri(fabric_id))])
    return (
        _builder(subject, issuer, key.public_key(), issuer_key.public_key(), now - BACKDATE, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .add_extension(san, critical=False)
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    start: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(fabric_id: str, unit: str, common_name: str) -> x509.Name:
    parts: list[tuple[ObjectIdentifier, str]] = [
        (NameOID.ORGANIZATION_NAME, fabric_id),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common_name),
    ]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _ca_name(fabric_id: str, unit: str, tag: str) -> x509.Name:
    """The tag keeps two roots of one fabric (rotation) apart by name as well as by key."""
    return _name(fabric_id, unit, f"Omnitide {unit} CA {tag}")


def _key_tag(key: ec.EllipticCurvePrivateKey) -> str:
    return public_key_digest(key.public_key()).removeprefix("sha256:")[:12]


def _host_san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    if not _DNS_NAME.fullmatch(name):
        raise InvalidName("host name", name, "expected a DNS name or an IP address (an international name as xn--...)")
    return x509.DNSName(name.lower())
