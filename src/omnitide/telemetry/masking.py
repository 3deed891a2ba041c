"""Makes any value fit for a log record: secrets are masked, sizes are bounded, and what is left is JSON.

Two nets catch secrets: the *name* of a field (`token`, `db_password`, `Authorization`) at any depth, and the *text* of
a value wherever it stands (tokens of this fabric, bearer credentials, private keys, passwords in addresses).
"""

import dataclasses
import enum
import math
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import islice, pairwise
from typing import Final, cast

import msgspec

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

MASK: Final = "***"
MAX_TEXT: Final = 4096
"""Characters kept of one text."""
MAX_RECORD: Final = 32_768
"""Characters kept of all texts of one record together."""
MAX_ITEMS: Final = 64
"""Elements kept of one list or mapping."""
MAX_DEPTH: Final = 6
_MAX_KEY: Final = 128
_LOOK_AHEAD: Final = 16_384
"""A text is searched this far past what is kept of it, which is longer than any secret that the patterns know."""

_SECRET_WORDS: Final = tuple(
    word + plural
    for word in ("token", "secret", "password", "passwd", "passphrase", "authorization", "cookie", "credential")
    for plural in ("", "s")
)
_SECRET_KEYS: Final = frozenset({"private", "api", "signing", "fabric", "wrapping"})
"""What makes a `key` a secret one."""
_TELLS_ONLY_OF: Final = frozenset(
    {"id", "ids", "name", "names", "count", "file", "path", "kind", "uses", "version", "state"}
)
"""A name that ends so speaks of a secret without being one: `token_id`, `secret_name`, `token_file`."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAMED = r"\w*(?:token|secret|password|passphrase|authorization)"
_BODY = r"[A-Za-z0-9_.~+/=-]"
_TEXT_SECRETS: Final = (
    # A token of the fabric: `omt_` joins, `oma_` administers, `oml_` and `oms_` log in.
    # Inside a longer word, only what is long enough to be one.
    (re.compile(rf"(?<![A-Za-z0-9])(om[alst]_){_BODY}+"), rf"\1{MASK}"),
    (re.compile(rf"(om[alst]_){_BODY}{{12,}}"), rf"\1{MASK}"),
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END|\Z)", re.DOTALL), rf"\1 {MASK}"),
    (re.compile(r"\b(authorization[\"']?\s*[:=]\s*[\"']?)[^\r\n\"',}]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(bearer)\s+[^\s\"',;]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{MASK}@"),
    (re.compile(r"([?&](?:login|token|key|secret|password)=)[^&\s\"']+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"\b({_NAMED}=)[^\s,;&]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"([\"']{_NAMED}[\"']\s*:\s*)(?:\"[^\"]*\"?|'[^']*'?)", re.IGNORECASE), rf"\1'{MASK}'"),
)

_HINT = re.compile(r"om[alst]_|private key|bearer|:|=|authorization", re.IGNORECASE)
"""A text without any of these holds nothing that the patterns find; most texts are done after this one look."""


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: its words are looked at, whatever joins them."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _TELLS_ONLY_OF:
        return False
    if any(word.endswith(_SECRET_WORDS) for word in words):
        return True
    return any(kind in _SECRET_KEYS and word == "key" for kind, word in pairwise(words))


def mask_text(text: str) -> str:
    """The text without the secrets that can be told by their form."""
    if _HINT.search(text) is None:
        return text
    for pattern, replacement in _TEXT_SECRETS:
        text = pattern.sub(replacement, text)
    return text


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """The text masked, encodable, and cut to its first `limit` characters and a note of how long it was."""
    masked = _encodable(mask_text(text[: limit + _LOOK_AHEAD]))
    if len(masked) <= limit and len(text) <= limit + _LOOK_AHEAD:
        return masked
    return f"{masked[:limit]}… ({len(text)} characters)"


def clean_tail(text: str, limit: int) -> str:
    """Like `clean_text`, but what is kept is the end: of a traceback, where the cause stands."""
    masked = _encodable(mask_text(text[-limit - _LOOK_AHEAD :]))
    if len(masked) <= limit and len(text) <= limit + _LOOK_AHEAD:
        return masked
    return f"… ({len(text)} characters)\n{masked[-limit:]}"


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def clean_fields(fields: Mapping[str, object]) -> dict[str, Json]:
    """The fields of one record, fit to be written. Raises for no value, however odd."""
    return _Cleaner().mapping(fields.items(), 0)


class _Cleaner:
    """One walk over one record. It counts the characters taken, so that many fields cannot do what one may not."""

    def __init__(self) -> None:
        self._left = MAX_RECORD

    def text(self, text: str, limit: int = MAX_TEXT) -> str:
        kept = clean_text(text, max(0, min(limit, self._left)))
        self._left -= len(kept)
        return kept

    def mapping(self, items: Iterable[tuple[object, object]], depth: int) -> dict[str, Json]:
        cleaned: dict[str, Json] = {}
        for count, (key, value) in enumerate(islice(items, MAX_ITEMS + 1)):
            if count == MAX_ITEMS or self._left <= 0:
                cleaned["…"] = "more was cut"
                break
            name = key if isinstance(key, str) else _printed(key)
            tells = value is None or isinstance(value, bool) or (isinstance(value, str) and not value)
            hidden = is_secret_name(name[-256:]) and not tells
            cleaned[self.text(name, _MAX_KEY)] = MASK if hidden else self.value(value, depth)
        return cleaned

    def sequence(self, items: Iterable[object], depth: int) -> list[Json]:
        cleaned: list[Json] = []
        for count, value in enumerate(islice(items, MAX_ITEMS + 1)):
            if count == MAX_ITEMS or self._left <= 0:
                cleaned.append("… more was cut")
                break
            cleaned.append(self.value(value, depth))
        return cleaned

    def value(self, value: object, depth: int) -> Json:
        try:
            return self._value(value, depth)
        except Exception:  # a value's own code failed (`__str__`, an iterator); the record is worth more than the value
            return f"<unprintable {type(value).__name__}>"

    def _value(self, value: object, depth: int) -> Json:
        match value:
            case None | bool():
                return value
            case enum.Enum():
                return self.value(cast(object, value.value), depth)
            case int():
                return int(value) if -(2**63) <= value < 2**63 else f"<integer of {value.bit_length()} bits>"
            case float():
                return float(value) if math.isfinite(value) else str(float(value))
            case str():
                return self.text(value)
            case bytes() | bytearray() | memoryview():
                return f"<{len(cast(bytes, value))} bytes>"
            case BaseException():
                return self.text(f"{type(value).__name__}: {value}")
            case _:
                return self._compound(value, depth)

    def _compound(self, value: object, depth: int) -> Json:
        if depth >= MAX_DEPTH:
            return f"<{type(value).__name__}, too deep>"
        named = _named_fields(value)
        if named is not None:
            return self.mapping(((name, cast(object, getattr(value, name))) for name in named), depth + 1)
        if isinstance(value, Mapping):
            return self.mapping(cast("Mapping[object, object]", value).items(), depth + 1)
        if isinstance(value, list | tuple | AbstractSet):
            return self.sequence(cast("Iterable[object]", value), depth + 1)
        return self.text(_printed(value))


def _named_fields(value: object) -> tuple[str, ...] | None:
    """Field names of a struct, dataclass or named tuple: their `repr` would print secrets that their names tell."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in dataclasses.fields(value))
    if isinstance(value, tuple):
        return cast("tuple[str, ...] | None", getattr(cast(object, value), "_fields", None))
    return None


def _printed(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__}>"
