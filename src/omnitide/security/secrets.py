"""Values that must not be readable where they lie: each closed under a key of its own, which is closed under the
keyring's.

A secret's key is made with the secret and lies in a file of its own, wrapped by the secrets key of the keyring, which
the fabric key wraps in turn. To erase that file erases the secret, whatever copies of its ciphertext there are. The
digest by which two values are compared is keyed too: a short value could be guessed from a plain one.
"""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

from omnitide.security.clear_text import ClearText
from omnitide.security.errors import SecurityError
from omnitide.security.fabric_key import FabricKey, WrappedValueDamaged, WrongFabricKey, unwrap, wrap
from omnitide.security.private_files import (
    InsecureFile,
    ensure_private_directory,
    read_private,
    remove_private,
    write_private,
)

KEY_BYTES: Final = 32
DIGEST_ALGORITHM: Final = "hmac-sha256"
_SUFFIX: Final = ".key"
_ALLOWED: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


class SecretUnreadable(SecurityError):
    """A secret cannot be opened: its key was erased or its ciphertext changed. Set it anew."""


class SecretKeys:
    """The keys of all secrets, each in a file of its own below a private directory."""

    def __init__(self, directory: Path, secrets_key: bytes) -> None:
        """`secrets_key`: the keyring's. Raises InsecureFile, OSError."""
        self._directory = directory
        self._wrapping = FabricKey(
            id=hmac.new(secrets_key, b"omnitide secrets key id", hashlib.sha256).hexdigest()[:16], key=secrets_key
        )
        self._digest_key = hmac.new(secrets_key, b"omnitide secret digest 1", hashlib.sha256).digest()
        ensure_private_directory(directory)

    def digest(self, identifier: str, value: ClearText) -> str:
        """Equal for equal values of one id, and of no use to who lacks the keyring: `hmac-sha256:<key id>:<hex>`."""
        found = hmac.new(self._digest_key, f"{identifier}\0".encode() + value.reveal(), hashlib.sha256).hexdigest()
        return f"{DIGEST_ALGORITHM}:{self._wrapping.id}:{found}"

    def close(self, identifier: str, value: ClearText) -> bytes:
        """The value under the secret's own key, which is made if there is none. Raises SecurityError, OSError."""
        key = self._key(identifier) or self._new_key(identifier)
        return wrap(key, _label(identifier), value.reveal()).encode()

    def open(self, identifier: str, closed: bytes) -> ClearText:
        """Raises SecretUnreadable."""
        key = self._key(identifier)
        if key is None:
            raise SecretUnreadable(f"the key of {identifier} is not there: it was erased, or its file was lost")
        try:
            return ClearText(unwrap(key, _label(identifier), closed.decode("ascii", "replace")))
        except (WrappedValueDamaged, WrongFabricKey) as error:
            raise SecretUnreadable(f"{identifier} cannot be opened: {error}") from None

    def erase(self, identifier: str) -> None:
        """Forget a secret's key for good; no error if there is none. Raises OSError."""
        remove_private(self._path(identifier))

    def known(self) -> list[tuple[str, float]]:
        """Ids that have a key, and since when (seconds since 1970). Raises OSError."""
        found: list[tuple[str, float]] = []
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            try:
                found.append((path.name.removesuffix(_SUFFIX), path.stat().st_mtime))
            except FileNotFoundError:
                continue
        return found

    def _path(self, identifier: str) -> Path:
        if not identifier or not _ALLOWED.issuperset(identifier):
            raise SecretUnreadable(f"{identifier[:80]!r} is not the id of a secret")
        return self._directory / f"{identifier}{_SUFFIX}"

    def _key(self, identifier: str) -> FabricKey | None:
        try:
            wrapped = read_private(self._path(identifier)).decode("ascii", "replace").strip()
            key = unwrap(self._wrapping, f"secret key {identifier}", wrapped)
        except FileNotFoundError:
            return None
        except (WrappedValueDamaged, WrongFabricKey, InsecureFile) as error:
            raise SecretUnreadable(f"the key of {identifier} cannot be used: {error}") from None
        return _own(key)

    def _new_key(self, identifier: str) -> FabricKey:
        key = secrets.token_bytes(KEY_BYTES)
        wrapped = wrap(self._wrapping, f"secret key {identifier}", key)
        write_private(self._path(identifier), wrapped.encode() + b"\n", exclusive=True)
        return _own(key)


def new_secrets_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def _own(key: bytes) -> FabricKey:
    return FabricKey(hmac.new(key, b"omnitide secret key id", hashlib.sha256).hexdigest()[:16], key)


def _label(identifier: str) -> str:
    return f"secret {identifier}"
