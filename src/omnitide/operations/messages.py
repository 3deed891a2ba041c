"""Messages of a WebSocket, made once for any number of connections: what a server sends is the same bytes to each."""

import struct
from typing import Final

_TEXT: Final = 0x81
"""A whole message of text (RFC 6455, 5.2)."""


def text_message(payload: bytes) -> bytes:
    """UTF-8 text as one unmasked frame without extensions."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", _TEXT, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload
