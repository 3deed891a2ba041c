"""The owner that is written into a tar stream as it passes: nothing else of it changes, however it is cut."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from omnitide.drivers.docker.ownership import Owner, owned, resolve

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..")
)
FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


def packed(files: dict[str, bytes], form: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.uname = len(data), 7, "seven"
            tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


def through(data: bytes, cut: int, owner: Owner) -> bytes:
    async def cut_up() -> AsyncIterator[bytes]:
        for at in range(0, len(data), cut):
            yield data[at : at + cut]

    async def all_of() -> bytes:
        return b"".join([piece async for piece in owned(cut_up(), owner)])

    return asyncio.run(all_of())


@given(
    files=st.dictionaries(NAMES.map(lambda name: name[:60]), st.binary(max_size=2000), max_size=4),
    form=FORMATS,
    cut=st.integers(1, 3000),
    user=st.integers(0, 2**32 - 2),
)
def test_only_the_owner_changes(files: dict[str, bytes], form: int, cut: int, user: int) -> None:
    try:
        data = packed(files, form)
    except ValueError:
        return  # a name that ustar has no room for
    made = through(data, cut, Owner(user, 9))
    assert len(made) == len(data)
    with tarfile.open(fileobj=io.BytesIO(made)) as tar, tarfile.open(fileobj=io.BytesIO(data)) as before:
        found = {member.name: member for member in tar.getmembers()}
        assert found.keys() == {member.name for member in before.getmembers()}
        for name, member in found.items():
            file, was = tar.extractfile(member), before.extractfile(name)
            assert file is not None
            assert was is not None
            assert (member.uid, member.gid, file.read()) == (user, 9, was.read())


def test_users_are_read_as_the_container_names_them() -> None:
    passwd = "root:x:0:0::/:/bin/sh\nweb:x:101:102::/:/bin/false\n"
    groups = "root:x:0:\nteam:x:400:web\n"
    assert resolve("web", "", passwd, groups) == Owner(101, 102)
    assert resolve("101", "", passwd, groups) == Owner(101, 102)
    assert resolve("web", "team", passwd, groups) == Owner(101, 400)
    assert resolve("5000", "", passwd, groups) == Owner(5000, 0)
    assert resolve("5000", "6000", "", "") == Owner(5000, 6000)
    assert resolve("nobody-here", "", passwd, groups) is None
