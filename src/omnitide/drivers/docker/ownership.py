"""Whom the files of a tar stream belong to: the numbers of a container's user, written into its headers on the way."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, NamedTuple

BLOCK: Final = 512
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
    """The same tar stream (ustar, GNU or pax), with each member's owner replaced; pax records of owners do not occur in
    what `tar` writes for numbers this small. Holds one block at most."""
    held = b""
    content = 0
    async for piece in data:
        held += piece
        made = bytearray()
        at = 0
        while True:
            if content:
                take = min(content, len(held) - at)
                made += held[at : at + take]
                at += take
                content -= take
                if content:
                    break
            if len(held) - at < BLOCK:
                break
            header = held[at : at + BLOCK]
            at += BLOCK
            if header.count(0) == BLOCK:
                made += header
                continue
            size = _number(header[_SIZE])
            content = (size + BLOCK - 1) // BLOCK * BLOCK
            made += _changed(header, owner)
        held = held[at:]
        if made:
            yield bytes(made)
    if held:
        yield held


def _number(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    return int(text, 8) if text.isdigit() else 0


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
