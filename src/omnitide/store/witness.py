"""The witness: a tiny file beside the store that remembers how far appends were acknowledged.

A store that lost its last records looks exactly like one that never had them. The witness tells the two apart. It is
written after each sync and never before, so it is never ahead of what is durable; it is not synced itself (that would
double the cost of an append), so a power loss may leave it a few seconds behind. Behind it can only fail to notice a
loss, never accuse a whole store.

Two slots, in sectors of their own, are written by turns: one torn write leaves the other.
"""

import os
import struct
import zlib
from pathlib import Path

import msgspec

_SLOT = struct.Struct("<4s16sQQQ16s")
_CHECK = struct.Struct("<I")
_MAGIC = b"OMW1"
_SLOT_SPACING = 512


class Witnessed(msgspec.Struct, frozen=True):
    """What is known to have been durable."""

    log_id: str
    """Hexadecimal, 32 characters."""
    epoch: int
    position: int
    link: bytes


class Witness:
    """The open file. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file; raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        found = [parsed for slot in (0, 1) if (parsed := self._read(slot)) is not None]
        newest = max(found, key=lambda pair: pair[0], default=None)
        self._turn = newest[0] if newest else 0
        self.last: Witnessed | None = newest[1] if newest else None

    def note(self, state: Witnessed) -> None:
        """Remember `state`, without waiting for the disk. Raises OSError."""
        self._turn += 1
        slot = _SLOT.pack(_MAGIC, bytes.fromhex(state.log_id), self._turn, state.epoch, state.position, state.link)
        os.pwrite(self._fd, slot + _CHECK.pack(zlib.crc32(slot)), (self._turn & 1) * _SLOT_SPACING)
        self.last = state

    def sync(self) -> None:
        """Wait until what was noted is on the disk. Raises OSError."""
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _read(self, slot: int) -> tuple[int, Witnessed] | None:
        raw = os.pread(self._fd, _SLOT.size + _CHECK.size, slot * _SLOT_SPACING)
        if len(raw) < _SLOT.size + _CHECK.size:
            return None
        body, (check,) = raw[: _SLOT.size], _CHECK.unpack_from(raw, _SLOT.size)
        if zlib.crc32(body) != check:
            return None
        magic, log_id, turn, epoch, position, link = _SLOT.unpack(body)
        if magic != _MAGIC:
            return None
        return turn, Witnessed(log_id.hex(), epoch, position, link)
