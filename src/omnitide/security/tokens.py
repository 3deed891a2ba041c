"""Join tokens, API tokens, logins and sessions: their text, and the digest that is stored instead of them.

    omt_<id>_<secret>_<CA fingerprint><checksum>     join token: one node (or a few) may join, for a short time
    oma_<id>_<secret><checksum>                      API token: a person or program calls the API
    oml_<id>_<secret><checksum>                      login: a browser opens one session of the panel, once
    oms_<id>_<secret><checksum>                      session: a browser that has logged in, as its cookie

Fields are base32 of fixed length in digits and lower-case letters without i, l, o and u. The id (80 bits) is public:
the key under which the token is listed and revoked. The checksum (CRC-32 of all before it) tells a mistyped token from
an unknown one before anything is asked of a server; it detects every change of up to 32 bits in a row. The fingerprint
is the first 128 bits of the SHA-256 of the root CA certificate: to find another certificate with the same is a second
preimage of 128 bits.

The secret has 160 random bits, so a fast digest is right: nobody can try them out, and a slow password hash would only
cost the server on each request. The digest names its algorithm and key: `hmac-sha256:<key id>:<hex>` with a key of the
keyring, which makes digests from a stolen log useless, or `sha256:<hex>`.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from omnitide.security.errors import SecurityError

JOIN_PREFIX = "omt"
API_PREFIX = "oma"
LOGIN_PREFIX = "oml"
SESSION_PREFIX = "oms"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

ID_BYTES = 10
SECRET_BYTES = 20
FINGERPRINT_BYTES = 16
MAX_TOKEN_CHARS = 256

_CHECKSUM_BYTES = 4
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
_KEY_ID = re.compile(r"[0-9a-zA-Z-]{1,32}")

TokenProblem = Literal["empty", "kind", "shape", "character", "length", "checksum"]


class MalformedToken(SecurityError):
    """A text is not a token. The message never repeats it, as it may be a real one with a slip."""

    def __init__(self, problem: TokenProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


class UnknownDigest(SecurityError):
    """A stored digest names an algorithm or a key that is not here: the keyring does not belong to this state."""


@dataclass(frozen=True)
class JoinToken:
    """What a node needs to join: the right to, and how to recognise the fabric."""

    id: str
    secret: bytes = field(repr=False)
    ca_fingerprint: bytes
    """First 16 bytes of the SHA-256 of the root CA certificate."""

    @property
    def text(self) -> str:
        parts = (JOIN_PREFIX, self.id, _encode(self.secret), _encode(self.ca_fingerprint))
        return _with_checksum("_".join(parts))

    def trusts(self, root_fingerprint: bytes) -> bool:
        """Whether this is the CA (full SHA-256 fingerprint, 32 bytes) that the token was made for."""
        return hmac.compare_digest(root_fingerprint[:FINGERPRINT_BYTES], self.ca_fingerprint)


@dataclass(frozen=True)
class ApiToken:
    """The right to call the API as some principal."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return _with_checksum("_".join((API_PREFIX, self.id, _encode(self.secret))))


@dataclass(frozen=True)
class LoginToken:
    """The right to open one session of the panel."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return _with_checksum("_".join((LOGIN_PREFIX, self.id, _encode(self.secret))))


@dataclass(frozen=True)
class SessionToken:
    """A browser that has logged in."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return _with_checksum("_".join((SESSION_PREFIX, self.id, _encode(self.secret))))


Token = JoinToken | ApiToken | LoginToken | SessionToken


_PREFIXES = {
    JoinToken: JOIN_PREFIX,
    ApiToken: API_PREFIX,
    LoginToken: LOGIN_PREFIX,
    SessionToken: SESSION_PREFIX,
}


def make_join_token(entropy: bytes, root_fingerprint: bytes) -> JoinToken:
    """A join token from 30 random bytes and the root's SHA-256 fingerprint. Raises ValueError on other lengths."""
    identifier, secret = _split(entropy)
    if len(root_fingerprint) != hashlib.sha256().digest_size:
        raise ValueError("the fingerprint must be a whole SHA-256 digest")
    return JoinToken(identifier, secret, root_fingerprint[:FINGERPRINT_BYTES])


def make_api_token(entropy: bytes) -> ApiToken:
    """An API token from 30 random bytes. Raises ValueError on another length."""
    return ApiToken(*_split(entropy))


def make_login_token(entropy: bytes) -> LoginToken:
    """A login from 30 random bytes. Raises ValueError on another length."""
    return LoginToken(*_split(entropy))


def make_session_token(entropy: bytes) -> SessionToken:
    """A session from 30 random bytes. Raises ValueError on another length."""
    return SessionToken(*_split(entropy))


def new_login_token() -> LoginToken:
    return make_login_token(secrets.token_bytes(ID_BYTES + SECRET_BYTES))


def new_session_token() -> SessionToken:
    return make_session_token(secrets.token_bytes(ID_BYTES + SECRET_BYTES))


def new_join_token(root_fingerprint: bytes) -> JoinToken:
    return make_join_token(secrets.token_bytes(ID_BYTES + SECRET_BYTES), root_fingerprint)


def new_api_token() -> ApiToken:
    return make_api_token(secrets.token_bytes(ID_BYTES + SECRET_BYTES))


def parse_join_token(text: str) -> JoinToken:
    """Read a join token; white space around it is ignored. Raises MalformedToken."""
    fields = _fields(text, JOIN_PREFIX, "join token", (ID_BYTES, SECRET_BYTES, FINGERPRINT_BYTES))
    return JoinToken(_encode(fields[0]), fields[1], fields[2])


def parse_api_token(text: str) -> ApiToken:
    """Read an API token; white space around it is ignored. Raises MalformedToken."""
    fields = _fields(text, API_PREFIX, "API token", (ID_BYTES, SECRET_BYTES))
    return ApiToken(_encode(fields[0]), fields[1])


def parse_login_token(text: str) -> LoginToken:
    """Read a login; white space around it is ignored. Raises MalformedToken."""
    fields = _fields(text, LOGIN_PREFIX, "login code", (ID_BYTES, SECRET_BYTES))
    return LoginToken(_encode(fields[0]), fields[1])


def parse_session_token(text: str) -> SessionToken:
    """Read a session's cookie. Raises MalformedToken."""
    fields = _fields(text, SESSION_PREFIX, "session", (ID_BYTES, SECRET_BYTES))
    return SessionToken(_encode(fields[0]), fields[1])


def proof_of(session_id: str, stored: str, keys: Mapping[str, bytes]) -> str:
    """What a page shows besides a session's cookie: cookies go to every port of a host, this to one origin alone.

    It is made of the session's id with the key that its digest names, so that nothing more need be stored and the
    cookie alone does not give it away. Raises UnknownDigest.
    """
    algorithm, _, rest = stored.partition(":")
    key = keys.get(rest.partition(":")[0])
    if algorithm != "hmac-sha256" or key is None:
        raise UnknownDigest("the session's digest was not made with a key of this keyring")
    return hmac.new(key, f"omnitide session proof 1\0{session_id}".encode(), hashlib.sha256).hexdigest()


def digest(token: Token, key_id: str, key: bytes) -> str:
    """What to store of a token: `hmac-sha256:<key id>:<hex>`."""
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError("a key id has 1 to 32 letters, digits and '-'")
    return f"hmac-sha256:{key_id}:{hmac.new(key, _digested(token), hashlib.sha256).hexdigest()}"


def plain_digest(token: Token) -> str:
    """What to store where no keyring is at hand: `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(_digested(token)).hexdigest()}"


def matches(token: Token, stored: str, keys: Mapping[str, bytes]) -> bool:
    """Whether `stored` is the digest of this token; takes the same time wherever they differ.

    `keys`: the keyring's token keys by id. Raises UnknownDigest.
    """
    algorithm, _, rest = stored.partition(":")
    if algorithm == "sha256":
        expected = plain_digest(token)
    elif algorithm == "hmac-sha256":
        key_id = rest.partition(":")[0]
        if key_id not in keys:
            raise UnknownDigest(f"the token digest was made with key {key_id[:32]!r}, which the keyring does not have")
        expected = digest(token, key_id, keys[key_id])
    else:
        raise UnknownDigest(f"a token digest names the algorithm {algorithm[:32]!r}, which is not known here")
    return hmac.compare_digest(expected.encode(), stored.encode())


def _digested(token: Token) -> bytes:
    """The kind and id are part of it: a digest never fits a token of the other kind or another id."""
    prefix = _PREFIXES[type(token)]
    return f"omnitide token 1\0{prefix}\0{token.id}\0".encode() + token.secret


def _split(entropy: bytes) -> tuple[str, bytes]:
    if len(entropy) != ID_BYTES + SECRET_BYTES:
        raise ValueError(f"a token is made of {ID_BYTES + SECRET_BYTES} random bytes, not {len(entropy)}")
    return _encode(entropy[:ID_BYTES]), entropy[ID_BYTES:]


def _fields(text: str, prefix: str, kind: str, sizes: tuple[int, ...]) -> list[bytes]:
    text = text.strip()
    _check_kind(text, prefix, kind)
    parts = text.split("_")[1:]
    body, check = text[: -_chars(_CHECKSUM_BYTES)], text[-_chars(_CHECKSUM_BYTES) :]
    if len(parts) != len(sizes):
        raise MalformedToken(
            "shape",
            f"this {kind} has {len(parts) + 1} parts joined by '_', it should have {len(sizes) + 1}: copy all of it",
        )
    for character in "".join(parts):
        if character not in _VALUES:
            raise MalformedToken("character", f"{_one(kind)} never has the character {character!r}{_advice(character)}")
    lengths = [_chars(size) for size in sizes]
    lengths[-1] += _chars(_CHECKSUM_BYTES)
    if [len(part) for part in parts] != lengths:
        expected = len(prefix) + len(parts) + sum(lengths)
        raise MalformedToken(
            "length",
            f"this {kind} has {len(text)} characters, it should have {expected}: part of it is missing or doubled",
        )
    if _encode(_crc(body)) != check:
        raise MalformedToken("checksum", f"this {kind} has a typing error somewhere: copy it again")
    parts[-1] = parts[-1][: -_chars(_CHECKSUM_BYTES)]
    return [_decode(part, size, kind) for part, size in zip(parts, sizes, strict=True)]


def _check_kind(text: str, prefix: str, kind: str) -> None:
    if not text:
        raise MalformedToken("empty", f"the {kind} is empty")
    if len(text) > MAX_TOKEN_CHARS:
        raise MalformedToken("length", f"{len(text)} characters are too many for {_one(kind)}")
    if text.startswith(prefix + "_"):
        return
    other = {
        JOIN_PREFIX: "a join token",
        API_PREFIX: "an API token",
        LOGIN_PREFIX: "a login code",
        SESSION_PREFIX: "a session",
    }.get(text.partition("_")[0])
    if other:
        raise MalformedToken("kind", f"this is {other}; here {_one(kind)} is needed ({prefix}_...)")
    raise MalformedToken("kind", f"{_one(kind)} begins with {prefix}_")


def _one(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"


def _advice(character: str) -> str:
    if character in "oO":
        return " (a zero?)"
    if character in "iIlL":
        return " (a one?)"
    return " (all letters are lower case)" if character.isupper() else ""


def _with_checksum(body: str) -> str:
    return body + _encode(_crc(body))


def _crc(body: str) -> bytes:
    return zlib.crc32(body.encode()).to_bytes(_CHECKSUM_BYTES, "big")


def _chars(size: int) -> int:
    """Characters for `size` bytes, five bits each."""
    return -(-size * 8 // 5)


def _encode(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(_chars(len(data)))))


def _decode(text: str, size: int, kind: str) -> bytes:
    number = 0
    for character in text:
        number = number << 5 | _VALUES[character]
    try:
        return number.to_bytes(size, "big")
    except OverflowError as error:
        # The checksum was right, so somebody computed it over a text that no encoder makes.
        raise MalformedToken("shape", f"this {kind} is not well-formed") from error
