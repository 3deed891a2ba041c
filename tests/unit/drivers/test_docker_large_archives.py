"""A tar stream on its way into a container: its owners are replaced, whatever its dialect, sizes and pieces."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.drivers.docker.ownership import Owner, owned
from omnitide.drivers.protocol import DriverError

OWNER = Owner(1234, 3_000_000)
GIB = 1 << 30
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def through(data: bytes, size: int = 1 << 16) -> bytes:
    async def run() -> bytes:
        return b"".join([piece async for piece in owned(pieces(data, size), OWNER)])

    return asyncio.run(run())


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type = size, kind
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def packed(members: Iterable[tuple[tarfile.TarInfo, bytes]], dialect: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=dialect) as tar:
        for one, content in members:
            tar.addfile(one, io.BytesIO(content))
    return data.getvalue()


@given(
    dialect=st.sampled_from(["gnu", "pax"]),
    names=st.lists(st.text("abc/\u00e9", min_size=1, max_size=160), min_size=1, max_size=4),
    sizes=st.lists(st.integers(0, 1500), min_size=4, max_size=4),
    piece=st.integers(1, 3000),
    uid=st.sampled_from([0, 5, 3_000_000, 2**40]),
)
def test_all_but_the_owners_stays(dialect: str, names: list[str], sizes: list[int], piece: int, uid: int) -> None:
    members = [
        (member(name, size, uid=uid, gid=uid, uname="x" * 3, gname="\u00e9"), bytes([index + 1]) * size)
        for index, (name, size) in enumerate(zip(names, sizes, strict=False))
    ]
    whole = packed(members, FORMATS[dialect])
    with tarfile.open(fileobj=io.BytesIO(through(whole, piece))) as tar, tarfile.open(fileobj=io.BytesIO(whole)) as old:
        for mine, its in zip(tar.getmembers(), old.getmembers(), strict=True):
            assert (mine.name, mine.size, mine.mode, mine.type) == (its.name, its.size, its.mode, its.type)
            assert (mine.uid, mine.gid, mine.uname, mine.gname) == (*OWNER, "", "")
            mine_file, its_file = tar.extractfile(mine), old.extractfile(its)
            assert mine_file is not None
            assert its_file is not None
            assert mine_file.read() == its_file.read()


@pytest.mark.parametrize("dialect", ["gnu", "pax"])
async def test_a_file_of_more_than_8_gib_is_content_to_its_end(dialect: str) -> None:
    size = 9 * GIB + 5
    header = member("large", size, uid=77).tobuf(FORMATS[dialect])
    # What would be taken for a header, were the size not understood.
    trap = member("trap", 10 * 512, uid=88).tobuf(tarfile.USTAR_FORMAT)
    block = trap * (16 << 11)  # 16 MiB
    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        yield header
        for _ in range(4):
            sent += len(block)
            yield block

    out = b"".join([piece async for piece in owned(stream(), OWNER)])
    begins = len(out) - sent
    assert out[begins:] == block * 4
    found = tarfile.TarInfo.frombuf(out[begins - 512 : begins], "utf-8", "strict")
    assert found.uid == OWNER.user
    with tarfile.open(fileobj=io.BytesIO(out[:begins] + bytes(512)), mode="r|") as tar:
        one = tar.next()
        assert one is not None
        assert (one.name, one.size, one.uid) == ("large", size, OWNER.user)


def test_what_follows_a_size_of_records_is_found() -> None:
    """As large files are written by pax: the header itself says 0."""
    large, small = member("large", 5000, uid=9), member("small", 3, uid=9)
    large.pax_headers = {"size": "5000", "uid": "9"}
    whole = packed([(large, b"y" * 5000), (small, b"abc")], tarfile.PAX_FORMAT)
    at = whole.index(b"large\0")
    header = tarfile.TarInfo.frombuf(whole[at : at + 512], "utf-8", "strict")
    header.size = 0
    whole = whole[:at] + header.tobuf(tarfile.USTAR_FORMAT) + whole[at + 512 :]
    with tarfile.open(fileobj=io.BytesIO(through(whole, 700))) as tar:
        assert [(one.name, one.size, one.uid) for one in tar.getmembers()] == [
            ("large", 5000, OWNER.user),
            ("small", 3, OWNER.user),
        ]


def test_links_have_no_content_whatever_they_say() -> None:
    link = member("link", kind=tarfile.LNKTYPE, linkname="a")
    header = bytearray(link.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"%011o\0" % 4096
    whole = bytes(header) + packed([(member("a", 1), b"x")], tarfile.USTAR_FORMAT)
    assert through(whole)[512:].index(b"a\0") == 0


@pytest.mark.parametrize(
    "data",
    [b"\xffnot a tar" * 60, member("a", 1).tobuf(tarfile.USTAR_FORMAT)[:124] + b"z" * 388],
    ids=["noise", "size"],
)
def test_what_is_no_tar_is_refused(data: bytes) -> None:
    with pytest.raises(DriverError) as refused:
        through(data)
    assert (refused.value.cause, refused.value.permanent) == ("archive", True)


def test_records_without_end_are_refused() -> None:
    header = member("././@PaxHeader", 2 << 20, tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(DriverError, match="1048576 are taken"):
        through(header + bytes(4096))
