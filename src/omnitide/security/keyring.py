"""The one keyring of a fabric: its CA, token-digest keys, secrets key and id, in one file, also the backup's form.

Private keys and secrets in it are wrapped by the fabric key (`fabric_key`); everything is covered by a MAC, so that a
changed file is refused whole instead of trusted in part. Token-digest keys have ids, the newest signs, old ones verify.
"""

import base64
import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from cryptography import x509

from omnitide.security import certificates as certs
from omnitide.security.errors import SecurityError
from omnitide.security.fabric_key import (
    FabricKey,
    KeySource,
    Scrypting,
    WrappedValueDamaged,
    WrongFabricKey,
    new_fabric_key,
    open_fabric_key,
    unwrap,
    wrap,
)
from omnitide.security.names import Role, check_fabric_id
from omnitide.security.peer import BadTrustBundle
from omnitide.security.pki import Authority, CertifiedKey, create_authority
from omnitide.security.private_files import read_private, write_private
from omnitide.security.secrets import new_secrets_key

KEYRING_FORMAT = 1
TOKEN_KEY_BYTES = 32


class KeyringMissing(SecurityError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no keyring at {path}: the fabric was not created here, or its data was moved")
        self.path = path


class KeyringExists(SecurityError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists: a keyring is never overwritten, because without it no node is known any more")
        self.path = path


class KeyringDamaged(SecurityError):
    """The keyring was changed or cut. Restore it from a backup."""


@dataclass(frozen=True)
class Keyring:
    """An open keyring. Its text form shows no secret."""

    authority: Authority
    token_keys: Mapping[str, bytes] = field(repr=False)
    """Key id to key, for the digests of tokens."""
    token_key_id: str
    """The key that new digests are made with."""
    secrets_key: bytes = field(repr=False)
    """Wraps the key of each secret."""

    @property
    def fabric_id(self) -> str:
        return self.authority.fabric_id


class _Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificate: str
    private_key: str
    """Wrapped PKCS #8."""


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    fabric_id: str
    fabric_key_id: str
    derivation: Scrypting | None
    root: _Pair
    intermediates: dict[Role, _Pair]
    also_trusted: list[str]
    token_keys: dict[str, str]
    token_key_id: str
    secrets_key: str = ""
    """Empty in keyrings of before there were secrets."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    body: _Body
    mac: str
    """`hmac-sha256:<hex>` over the body, under a key derived from the fabric key."""


def new_fabric_id() -> str:
    """A random id of a fabric: `f` and 80 bits in base32."""
    return "f" + base64.b32encode(secrets.token_bytes(10)).decode().lower()


def new_keyring(authority: Authority) -> Keyring:
    """A keyring around a CA, with a fresh token-digest key."""
    key = secrets.token_bytes(TOKEN_KEY_BYTES)
    key_id = hashlib.sha256(b"omnitide token key id\0" + key).hexdigest()[:8]
    return Keyring(authority, {key_id: key}, key_id, new_secrets_key())


def create(path: Path, source: KeySource, authority: Authority | None = None, *, now: dt.datetime) -> Keyring:
    """Make and store the keyring of a new fabric; with `authority`, around an existing CA.

    Raises KeyringExists (also when another process was first), InsecureFile, or FabricKeyMissing.
    """
    if path.exists():
        raise KeyringExists(path)
    keyring = new_keyring(authority or create_authority(new_fabric_id(), now))
    try:
        write_private(path, to_bundle(keyring, source), exclusive=True)
    except FileExistsError as error:
        raise KeyringExists(path) from error
    return keyring


def load(path: Path, source: KeySource) -> Keyring:
    """Open the keyring. Raises KeyringMissing, KeyringDamaged, WrongFabricKey, FabricKeyMissing or InsecureFile."""
    try:
        data = read_private(path)
    except FileNotFoundError as error:
        raise KeyringMissing(path) from error
    keyring = from_bundle(data, source)
    if not keyring.secrets_key:
        keyring = replace(keyring, secrets_key=new_secrets_key())
        save(path, keyring, source)
    return keyring


def save(path: Path, keyring: Keyring, source: KeySource) -> None:
    """Replace the stored keyring (rotation of a CA or a token key), atomically. Raises as `create`."""
    write_private(path, to_bundle(keyring, source))


def to_bundle(keyring: Keyring, source: KeySource) -> bytes:
    """The keyring as one piece of data, closed with `source`: for its file, and for a backup (there with a passphrase
    of the backup's own if wished). Raises FabricKeyMissing or InsecureFile."""
    key = new_fabric_key(source)
    authority = keyring.authority
    body = _Body(
        fabric_id=authority.fabric_id,
        fabric_key_id=key.id,
        derivation=key.derivation,
        root=_close_pair(key, "root key", authority.root),
        intermediates={r: _close_pair(key, f"{r} CA key", authority.intermediates[r]) for r in sorted(Role)},
        also_trusted=[certs.certificates_pem([c]).decode() for c in authority.also_trusted],
        token_keys={i: wrap(key, f"token key {i}", k) for i, k in sorted(keyring.token_keys.items())},
        token_key_id=keyring.token_key_id,
        secrets_key=wrap(key, "secrets key", keyring.secrets_key),
    )
    data = msgspec.json.encode(_File(KEYRING_FORMAT, body, _mac(key, body)))
    return msgspec.json.format(data, indent=1) + b"\n"


def from_bundle(data: bytes, source: KeySource) -> Keyring:
    """Open what `to_bundle` made; its secrets key is empty where there was none yet.

    Raises KeyringDamaged, WrongFabricKey, FabricKeyMissing or InsecureFile."""
    body, mac = _decode(data)
    key = open_fabric_key(source, body.derivation)
    if not hmac.compare_digest(key.id.encode(), body.fabric_key_id.encode()):
        raise WrongFabricKey(body.fabric_key_id[:32], key.id)
    if not hmac.compare_digest(_mac(key, body).encode(), mac.encode()):
        raise KeyringDamaged("the keyring was changed since it was written: restore it from a backup")
    try:
        authority = Authority(
            fabric_id=check_fabric_id(body.fabric_id),
            root=_open_pair(key, "root key", body.root),
            intermediates={r: _open_pair(key, f"{r} CA key", body.intermediates[r]) for r in Role},
            also_trusted=tuple(_one_certificate(pem) for pem in body.also_trusted),
        )
        authority.trust_bundle()
        token_keys = {i: unwrap(key, f"token key {i}", value) for i, value in body.token_keys.items()}
        secrets_key = unwrap(key, "secrets key", body.secrets_key) if body.secrets_key else b""
    except (KeyError, certs.BadCertificate, BadTrustBundle, WrappedValueDamaged, ValueError) as error:
        raise KeyringDamaged(f"the keyring is not whole: {error}") from error
    if body.token_key_id not in token_keys:
        raise KeyringDamaged(f"the keyring has no token key {body.token_key_id[:32]!r}")
    return Keyring(authority, token_keys, body.token_key_id, secrets_key)


def _decode(data: bytes) -> tuple[_Body, str]:
    try:
        version = msgspec.json.decode(data, type=_Version).format
        if version != KEYRING_FORMAT:
            raise KeyringDamaged(f"the keyring has format {version}; this version of omnitide reads {KEYRING_FORMAT}")
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyringDamaged(f"the keyring cannot be read: {error}") from error
    return file.body, file.mac


class _Version(msgspec.Struct, frozen=True):
    format: int


def _mac(key: FabricKey, body: _Body) -> str:
    """Over the decoded body, re-encoded with sorted keys: layout does not matter, content does."""
    mac_key = hmac.new(key.key, b"omnitide keyring mac 1", hashlib.sha256).digest()
    digest = hmac.new(mac_key, msgspec.json.encode(body, order="sorted"), hashlib.sha256).hexdigest()
    return f"hmac-sha256:{digest}"


def _close_pair(key: FabricKey, label: str, pair: CertifiedKey) -> _Pair:
    pem = certs.certificates_pem([pair.certificate]).decode()
    return _Pair(pem, wrap(key, label, certs.private_key_der(pair.key)))


def _open_pair(key: FabricKey, label: str, pair: _Pair) -> CertifiedKey:
    certificate = _one_certificate(pair.certificate)
    private_key = certs.load_private_key(unwrap(key, label, pair.private_key))
    if certs.public_key_digest(private_key.public_key()) != certs.public_key_digest(certificate.public_key()):
        raise certs.BadCertificate(f"{label} does not belong to its certificate")
    return CertifiedKey(certificate, private_key)


def _one_certificate(pem: str) -> x509.Certificate:
    found = certs.load_certificates(pem)
    if len(found) != 1:
        raise certs.BadCertificate(f"{len(found)} certificates where one belongs")
    return found[0]
