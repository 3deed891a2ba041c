"""The fabric key: the one key that wraps all others, and where it comes from.

By default it is 256 random bits in a file of its own beside the keyring, so that a fabric starts unattended; a copy of
the keyring alone then opens nothing. With a passphrase it is derived by scrypt (RFC 7914) and stored nowhere.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from omnitide.security.errors import SecurityError
from omnitide.security.private_files import read_private, write_private

PASSPHRASE_VARIABLE = "OMNITIDE_FABRIC_PASSPHRASE"  # noqa: S105 - the name of a variable
MIN_PASSPHRASE = 12
WRAP_ALGORITHM = "aes256gcm"

_KEY_BYTES = 32
_NONCE_BYTES = 12
_FILE_PREFIX = "omnitide-fabric-key-1:"


class FabricKeyMissing(SecurityError):
    """The source gives no fabric key."""


class WrongFabricKey(SecurityError):
    """This key is not the one that the values were wrapped under."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(
            f"wrong fabric key or passphrase: the keyring was closed with key {expected}, this is key {actual}"
        )
        self.expected = expected
        self.actual = actual


class WrappedValueDamaged(SecurityError):
    """A wrapped value was changed, cut, or moved to another place than it was wrapped for."""


class Scrypting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a key was derived from a passphrase. Costs are bounded when read: a changed file cannot eat the machine."""

    salt: bytes
    n: int = 1 << 16
    r: int = 8
    p: int = 2
    algorithm: str = "scrypt"


@dataclass(frozen=True)
class KeyFile:
    """The fabric key is in this file."""

    path: Path


@dataclass(frozen=True)
class Passphrase:
    """The fabric key is derived from this text (at least 12 characters)."""

    text: str = field(repr=False)


KeySource = KeyFile | Passphrase


@dataclass(frozen=True)
class FabricKey:
    """A key in memory. `id` tells keys apart without saying anything about them."""

    id: str
    key: bytes = field(repr=False)
    derivation: Scrypting | None = None


def key_source(environment: Mapping[str, str], default: Path) -> KeySource:
    """The passphrase from OMNITIDE_FABRIC_PASSPHRASE if that is set and not empty, else the key file."""
    text = environment.get(PASSPHRASE_VARIABLE, "")
    return Passphrase(text) if text else KeyFile(default)


def new_fabric_key(source: KeySource) -> FabricKey:
    """A key for a new keyring; a key file is written, or used again if there is one (a first start that crashed).

    Raises FabricKeyMissing (passphrase too short, file unreadable) or InsecureFile.
    """
    if isinstance(source, Passphrase):
        if len(source.text) < MIN_PASSPHRASE:
            raise FabricKeyMissing(f"the fabric passphrase must have at least {MIN_PASSPHRASE} characters")
        return _derive(source, Scrypting(salt=secrets.token_bytes(16)))
    text = _FILE_PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n"
    try:
        write_private(source.path, text.encode(), exclusive=True)
    except FileExistsError:
        pass
    return open_fabric_key(source, None)


def open_fabric_key(source: KeySource, derivation: Scrypting | None) -> FabricKey:
    """The key for an existing keyring, which says how it was derived. Raises FabricKeyMissing or InsecureFile."""
    if isinstance(source, Passphrase):
        if derivation is None:
            raise FabricKeyMissing("a passphrase was given, but the keyring is closed with a key file")
        return _derive(source, derivation)
    if derivation is not None:
        raise FabricKeyMissing(f"the keyring is closed with a passphrase: give it in {PASSPHRASE_VARIABLE}")
    try:
        text = read_private(source.path).decode("ascii", "replace").strip()
    except FileNotFoundError as error:
        raise FabricKeyMissing(f"the fabric key file {source.path} is not there") from error
    try:
        if not text.startswith(_FILE_PREFIX):
            raise ValueError("no such prefix")
        key = base64.b64decode(text.removeprefix(_FILE_PREFIX), validate=True)
        if len(key) != _KEY_BYTES:
            raise ValueError("not 256 bits")
    except ValueError:
        # No cause is chained: its text could quote the key.
        raise FabricKeyMissing(f"{source.path} is not a fabric key file, or it is damaged") from None
    return FabricKey(_key_id(key), key)


def wrap(key: FabricKey, label: str, secret: bytes) -> str:
    """Encrypt a secret for one place, named by `label`: `aes256gcm:<key id>:<nonce>:<ciphertext and tag>`.

    The nonce is random: safe for far more than the handful of values that a fabric wraps (2^32 under one key).
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(key.key).encrypt(nonce, secret, _associated(key, label))
    return ":".join((WRAP_ALGORITHM, key.id, base64.b64encode(nonce).decode(), base64.b64encode(sealed).decode()))


def unwrap(key: FabricKey, label: str, wrapped: str) -> bytes:
    """The secret again. Raises WrongFabricKey or WrappedValueDamaged."""
    algorithm, _, rest = wrapped.partition(":")
    if algorithm != WRAP_ALGORITHM:
        raise WrappedValueDamaged(f"{label} is wrapped with {algorithm[:32]!r}; this version knows {WRAP_ALGORITHM}")
    key_id, _, rest = rest.partition(":")
    nonce_text, _, sealed_text = rest.partition(":")
    if not hmac.compare_digest(key_id.encode(), key.id.encode()):
        raise WrongFabricKey(key_id[:32], key.id)
    try:
        nonce = base64.b64decode(nonce_text, validate=True)
        return AESGCM(key.key).decrypt(nonce, base64.b64decode(sealed_text, validate=True), _associated(key, label))
    except (ValueError, InvalidTag) as error:
        raise WrappedValueDamaged(f"{label} is damaged: it was changed after it was wrapped") from error


def _associated(key: FabricKey, label: str) -> bytes:
    return f"omnitide wrapped value 1\0{key.id}\0{label}".encode()


def _derive(source: Passphrase, how: Scrypting) -> FabricKey:
    if how.algorithm != "scrypt" or not (1 << 10 <= how.n <= 1 << 20 and 1 <= how.r <= 32 and 1 <= how.p <= 16):
        raise FabricKeyMissing(
            f"the keyring asks for {how.algorithm} n={how.n} r={how.r} p={how.p}: outside the bounds"
        )
    try:
        key = Scrypt(salt=how.salt, length=_KEY_BYTES, n=how.n, r=how.r, p=how.p).derive(source.text.encode())
    except (ValueError, MemoryError) as error:
        raise FabricKeyMissing(f"the fabric key cannot be derived: {error}") from error
    return FabricKey(_key_id(key), key, how)


def _key_id(key: bytes) -> str:
    return hmac.new(key, b"omnitide fabric key id", hashlib.sha256).hexdigest()[:16]
