"""What the keeper and its clients say to each other: length-prefixed JSON over a unix socket.

A message is four bytes of length (big-endian), then a JSON object. The client speaks first: `{"id": 1, "op": "hello",
"protocol": 1}`. A request is `{"id": n, "op": name, ...}` and has one answer, `{"id": n, "ok": {...}}` or `{"id": n,
"error": {"message", "cause", "permanent"}}`. What the keeper says unasked has no id: `{"push": "run", "run": {...}}`.
Unknown fields are ignored on both sides; a new meaning takes a new protocol number.
"""

import json
from typing import cast

Json = dict[str, object]

VERSION = 1
"""Highest protocol number spoken here."""
OLDEST_VERSION = 1

MAX_MESSAGE = 4 << 20
"""Bytes of one message; a longer one ends the connection."""

MARKER = "OMNITIDE_RUN_ID"
"""Environment variable by which a process can be found to belong to a run: `<keeper id>/<instance>/<attempt>`."""

_PREFIX = 4
_WHITESPACE = " \t\r\n"


class Refused(Exception):
    """The keeper does not do what was asked. `cause` and `permanent` as in `DriverError`."""

    def __init__(self, message: str, *, cause: str, permanent: bool) -> None:
        super().__init__(message)
        self.cause = cause
        self.permanent = permanent


class ProtocolError(Exception):
    """The other side does not speak this protocol; the connection cannot go on."""


_read = json.JSONDecoder().raw_decode
_write = json.JSONEncoder(separators=(",", ":")).encode


def to_json(message: Json) -> bytes:
    """In one line."""
    return _write(message).encode()


def encode(message: Json) -> bytes:
    """A message as it travels. Raises ProtocolError for one that is too long."""
    return framed(to_json(message))


def framed(body: bytes) -> bytes:
    """A message that is JSON already, as it travels. Raises ProtocolError for one that is too long."""
    if len(body) > MAX_MESSAGE:
        raise ProtocolError(f"a message of {len(body)} bytes is longer than {MAX_MESSAGE}")
    return len(body).to_bytes(_PREFIX, "big") + body


class Decoder:
    """Cuts a stream of bytes into messages; holds one unfinished message at most."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: "bytes | memoryview[int]") -> None:
        self._buffer += data

    def next(self) -> Json | None:
        """The next whole message, or None until more bytes come. Raises ProtocolError."""
        buffer = self._buffer
        if len(buffer) < _PREFIX:
            return None
        end = _PREFIX + int.from_bytes(buffer[:_PREFIX], "big")
        if end > _PREFIX + MAX_MESSAGE:
            raise ProtocolError(f"a message of {end - _PREFIX} bytes is longer than {MAX_MESSAGE}")
        if len(buffer) < end:
            return None
        body = buffer[_PREFIX:end]
        del buffer[:end]
        try:
            text = body.decode().strip(_WHITESPACE)
            message, length = _read(text)
            if length != len(text):
                raise ValueError(f"more follows after character {length}")
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"a message is not JSON: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError("a message is not a JSON object")
        return cast("Json", message)


def refusal(error: Refused) -> Json:
    return {"message": str(error), "cause": error.cause, "permanent": error.permanent}


def text(message: Json, key: str, default: str | None = None) -> str:
    """A string field. Raises Refused where it is absent without default or of another type."""
    value = message.get(key, default)
    if isinstance(value, str):
        return value
    raise Refused(f"field {key!r} must be a string", cause="invalid", permanent=True)


def number(message: Json, key: str, default: int | None = None, *, least: int = 0, most: int = 2**62) -> int:
    """An integer field within bounds. Raises Refused."""
    value = message.get(key, default)
    if type(value) is int and least <= value <= most:  # no bool
        return value
    raise Refused(f"field {key!r} must be a whole number from {least} to {most}", cause="invalid", permanent=True)


def flag(message: Json, key: str, default: bool = False) -> bool:
    value = message.get(key, default)
    if isinstance(value, bool):
        return value
    raise Refused(f"field {key!r} must be true or false", cause="invalid", permanent=True)


def record(message: Json, key: str) -> Json:
    """An object field; absent means empty. Raises Refused."""
    value = message.get(key)
    if value is None:
        return {}
    if isinstance(value, dict):
        return cast("Json", value)
    raise Refused(f"field {key!r} must be an object", cause="invalid", permanent=True)


def items(message: Json, key: str) -> list[object]:
    """A list field; absent means empty. Raises Refused."""
    value = message.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return cast("list[object]", value)
    raise Refused(f"field {key!r} must be a list", cause="invalid", permanent=True)


def strings(message: Json, key: str) -> dict[str, str]:
    """An object field whose values are strings; absent means empty. Raises Refused."""
    value = record(message, key)
    for name, content in value.items():
        if not isinstance(content, str):
            raise Refused(f"field {key!r}: the value of {name!r} must be a string", cause="invalid", permanent=True)
    return cast("dict[str, str]", value)
