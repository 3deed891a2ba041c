"""Certificates and keys as data: reading, writing, fingerprints, and when to renew.

Keys are EC P-256 throughout: BoringSSL (gRPC) accepts no Ed25519 certificates by default, and browsers none at all.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from omnitide.security.errors import SecurityError

MAX_PEM_BYTES = 64 << 10
"""More than any chain or bundle of ours needs; what is larger is refused unread."""

SIGNATURE_HASH = hashes.SHA256()


class BadCertificate(SecurityError):
    """These bytes are no certificate, chain, key or signing request that we can read."""


def utc_now() -> dt.datetime:
    """The wall clock: the one place in this package that asks for the time by itself."""
    return dt.datetime.now(dt.UTC)


def from_ms(milliseconds: int) -> dt.datetime:
    """Milliseconds since 1970 as a time in UTC."""
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def require_aware(now: dt.datetime) -> dt.datetime:
    """Refuse a time without a zone: it would be silently read as UTC. Raises ValueError."""
    if now.tzinfo is None:
        raise ValueError("a time without a zone: use datetime.now(UTC) or from_ms")
    return now.astimezone(dt.UTC)


def new_private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def private_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 PEM in the clear: only for memory, and for files of mode 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def private_key_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key from PEM or DER in the clear. Raises BadCertificate."""
    try:
        if data.lstrip().startswith(b"-----"):
            key = serialization.load_pem_private_key(data, None)
        else:
            key = serialization.load_der_private_key(data, None)
    except (ValueError, TypeError) as error:
        # The cause could quote key material; it is not passed on.
        raise BadCertificate("the private key cannot be read: it is damaged or not in PKCS #8 form") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not is_p256(key.public_key()):
        raise BadCertificate("the private key is not an EC key on the curve P-256")
    return key


def is_p256(key: object) -> bool:
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def load_certificates(data: bytes | str) -> list[x509.Certificate]:
    """Read one or more certificates from PEM, or one from DER. Raises BadCertificate."""
    raw = data.encode() if isinstance(data, str) else data
    if len(raw) > MAX_PEM_BYTES:
        raise BadCertificate(f"certificates of {len(raw)} bytes; at most {MAX_PEM_BYTES} are read")
    try:
        if b"-----BEGIN" in raw:
            return x509.load_pem_x509_certificates(raw)
        return [x509.load_der_x509_certificate(raw)]
    except ValueError as error:
        raise BadCertificate(f"no certificate can be read here: {error}") from error


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def public_key_digest(key: CertificatePublicKeyTypes) -> str:
    """`sha256:<hex>` over the public key (SubjectPublicKeyInfo): what an identity is bound to, whatever certificate
    carries it."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(spki).hexdigest()}"


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 over the whole certificate, the same 32 bytes that `openssl x509 -fingerprint -sha256` shows."""
    return certificate.fingerprint(hashes.SHA256())


def serial_text(certificate: x509.Certificate) -> str:
    """The serial number in lower-case hex, as logs and API show it."""
    return f"{certificate.serial_number:x}"


def renew_due(certificate: x509.Certificate, now: dt.datetime) -> bool:
    """True from half of the certificate's life on: early enough that a fabric may be down for days meanwhile."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return require_aware(now) >= start + (end - start) / 2


def make_csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A signing request in PEM that proves possession of `key` and asks for no name: the CA decides who one is."""
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SIGNATURE_HASH)
    return csr.public_bytes(serialization.Encoding.PEM)
