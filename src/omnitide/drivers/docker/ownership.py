"""Whom the files of a tar stream belong to: the numbers of a container's user, written into its headers on the way."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final, NamedTuple

from omnitide.drivers.protocol import DriverError

BLOCK: Final = 512
MAX_RECORDS: Final = 1 << 20
"""Bytes of one member's pax records."""
RECORDS: Final = (b"x", b"g", b"X")
LONG_NAMES: Final = (b"L", b"K")
WITHOUT_CONTENT: Final = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links, devices, directories and pipes, whatever size their header says: so the engine reads them."""
OWNERS: Final = (b"uid", b"gid", b"uname", b"gname")
SPARSE_EXTENDED: Final = 482
SPARSE_GOES_ON: Final = 504
_SIZE: Final = slice(124, 136)
_SUM: Final = slice(148, 156)


class Owner(NamedTuple):
    user: int
    group: int


def resolve(user: str, group: str, passwd: str, groups: str) -> Owner | None:
    """By the container's own files, as the engine does; None for a name that they do not know."""
    number, primary = (int(user), 0) if user.isdecimal() else (None, 0)
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and user in (fields[0], fields[2]) and fields[2].isdecimal() and fields[3].isdecimal():
            number, primary = int(fields[2]), int(fields[3])
            break
    if number is None:
        return None
    if not group:
        return Owner(number, primary)
    if group.isdecimal():
        return Owner(number, int(group))
    for line in groups.splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[0] == group and fields[2].isdecimal():
            return Owner(number, int(fields[2]))
    return None


async def owned(data: AsyncIterator[bytes], owner: Owner) -> AsyncGenerator[bytes]:
    """The same tar stream (ustar, GNU or pax), of any length, with each member's owner replaced. Holds one block, or a
    member's pax records. Raises DriverError for what is no tar stream."""
    stream = _Stream(owner)
    async for piece in data:
        made = stream.feed(piece)
        if made:
            yield made
    if stream.held:
        yield stream.held


class _Stream:
    """Where in a tar stream it is."""

    def __init__(self, owner: Owner) -> None:
        self.held = b""
        self._owner = owner
        self._content = 0
        """Bytes of the present member that are still to come, its padding too."""
        self._extended = False
        """More blocks of an old GNU sparse file's map follow."""
        self._records: bytes | None = None
        """The header of pax records that come next."""
        self._length = 0
        self._size: int | None = None
        """What pax records say of the next member."""

    def feed(self, piece: bytes) -> bytes:
        held = self.held + piece if self.held else piece
        made = bytearray()
        at = 0
        while True:
            if self._content:
                take = min(self._content, len(held) - at)
                made += memoryview(held)[at : at + take]
                at += take
                self._content -= take
                if self._content:
                    break
            wanted = _padded(self._length) if self._records is not None else BLOCK
            if len(held) - at < wanted:
                break
            block = held[at : at + wanted]
            at += wanted
            if self._records is not None:
                made += self._take_records(self._records, block[: self._length])
            else:
                made += self._take(block)
        self.held = held[at:]
        return bytes(made)

    def _take(self, block: bytes) -> bytes:
        if self._extended:
            self._extended = block[SPARSE_GOES_ON] != 0
            return block
        if block.count(0) == BLOCK:
            return block
        kind = block[156:157]
        size = _number(block[_SIZE])
        if kind in RECORDS:
            if size > MAX_RECORDS:
                message = f"the records of a member of the archive are {size} bytes; {MAX_RECORDS} are taken"
                raise DriverError(message, cause="archive", permanent=True)
            self._records, self._length = block, size
            return b""
        if self._size is not None and kind not in LONG_NAMES:
            size, self._size = self._size, None
        self._content = 0 if kind in WITHOUT_CONTENT else _padded(size)
        self._extended = kind == b"S" and block[SPARSE_EXTENDED] != 0
        return _changed(block, self._owner)

    def _take_records(self, header: bytes, data: bytes) -> bytes:
        """Those of owners are left out, which would win over the header's numbers."""
        self._records = None
        kept = bytearray()
        for key, record in _records_of(data):
            if key == b"size" and header[156:157] != b"g":
                self._size = _whole(record)
            if key not in OWNERS:
                kept += record
        if not kept:
            return b""
        changed = bytearray(header)
        changed[_SIZE] = f"{len(kept):011o}\0".encode()
        return _changed(bytes(changed), self._owner) + kept + bytes(_padded(len(kept)) - len(kept))


def _records_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and whole record, `12 uid=1234\\n`. Raises DriverError."""
    at = 0
    while at < len(data):
        digits = data[at : data.find(b" ", at)] if data.find(b" ", at) >= 0 else b""
        length = int(digits) if digits.isdigit() and len(digits) < 10 else 0
        record = data[at : at + length]
        if length <= len(digits) + 2 or len(record) < length or b"=" not in record or not record.endswith(b"\n"):
            raise _no_tar()
        yield record[len(digits) + 1 : record.index(b"=")], record
        at += length


def _whole(record: bytes) -> int:
    value = record[record.index(b"=") + 1 : -1]
    if not value.isdigit() or len(value) > 18:
        raise _no_tar()
    return int(value)


def _padded(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def _number(field: bytes) -> int:
    """Octal, or, as GNU writes what is larger, the number itself behind a first bit."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError:
        raise _no_tar() from None


def _no_tar() -> DriverError:
    return DriverError("what came is no tar stream", cause="archive", permanent=True)


def _changed(header: bytes, owner: Owner) -> bytes:
    changed = bytearray(header)
    changed[108:116] = _octal(owner.user)
    changed[116:124] = _octal(owner.group)
    changed[265:329] = bytes(64)  # names, which would win over numbers
    changed[_SUM] = b" " * 8
    changed[_SUM] = f"{sum(changed):06o}\0 ".encode()
    return bytes(changed)


def _octal(number: int) -> bytes:
    if number < 8**7:
        return f"{number:07o}\0".encode()
    return b"\x80" + number.to_bytes(7, "big")
