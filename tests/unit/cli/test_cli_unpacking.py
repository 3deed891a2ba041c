"""What comes out of an instance is a stranger's: whatever it holds, and in whatever order, nothing of it lands or leads
outside of the destination."""

import contextlib
import errno
import io
import os
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitide.cli.exits import Failure
from omnitide.cli.instances.unpacking import MAX_HEADER, unpack

Member = tuple[bytes, str, str]
"""Kind, name and where it links to."""

_NAME = st.sampled_from(["a", "b", "c"])
_NAMES = st.one_of(
    st.lists(_NAME, max_size=3).map(lambda parts: "/".join(["d", *parts])),
    st.lists(st.sampled_from(["a", "d", "..", ".", ""]), min_size=1, max_size=4).map("/".join),
)
_TARGETS = st.lists(st.one_of(_NAME, st.sampled_from(["..", ".", ""])), min_size=1, max_size=4).map("/".join)
_MEMBERS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE]), _NAMES, st.just("")),
        st.tuples(st.just(tarfile.SYMTYPE), _NAMES, _TARGETS),
        st.tuples(st.just(tarfile.LNKTYPE), _NAMES, _NAMES),
    ),
    max_size=8,
)


def packed(members: Iterable[Member]) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for kind, name, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, 0o755
            data = b"evil" if kind == tarfile.REGTYPE else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    made.seek(0)
    return made


def unpacked(members: Iterable[Member], place: Path) -> tuple[Path, list[str]]:
    """The destination, and what was warned of; `place` is made, with something outside of it to be hurt."""
    (place / "in").mkdir(parents=True)
    (place / "secret").write_text("kept")
    (place / "in" / "a").write_text("kept")
    warned: list[str] = []
    with contextlib.suppress(Failure, OSError, tarfile.TarError):
        unpack(packed(members), str(place / "in" / "d"), warned.append)
    return place / "in" / "d", warned


def assert_contained(place: Path, destination: Path) -> None:
    assert sorted(one.name for one in place.iterdir()) == ["in", "secret"]
    assert (place / "secret").read_text() == (place / "in" / "a").read_text() == "kept"
    assert (place / "secret").stat().st_nlink == (place / "in" / "a").stat().st_nlink == 1
    assert {one.name for one in destination.parent.iterdir()} <= {"a", "d"}
    inside = os.path.realpath(destination.parent) + "/d"
    for folder, folders, files in os.walk(destination):
        for name in (*folders, *files):
            leads = _end_of(os.path.join(folder, name))
            assert leads is None or leads == inside or leads.startswith(f"{inside}/"), (
                f"{folder}/{name} leads to {leads}"
            )
    assert not destination.is_symlink()


def _end_of(path: str) -> str | None:
    """Where a path leads, be it there or not; None for a circle of links, which `realpath` would not do well."""
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
    return os.path.realpath(path)


@settings(max_examples=400, deadline=None)
@given(_MEMBERS)
def test_nothing_lands_or_leads_outside(members: list[Member]) -> None:
    with tempfile.TemporaryDirectory() as made:
        place = Path(made) / "place"
        destination, _ = unpacked([(tarfile.DIRTYPE, "d", ""), *members], place)
        assert_contained(place, destination)


FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "members",
    [
        [(LINK, "d/b", "/etc"), (LINK, "d/a", "b"), (FILE, "d/a/x", "")],
        [(LINK, "d/a", "b"), (LINK, "d/b", "../.."), (FILE, "d/a/x", "")],
        [(LINK, "d/b", "."), (LINK, "d/a", "b/.."), (FILE, "d/a/x", "")],
        [(FOLDER, "d/x/y", ""), (LINK, "d/b", "x/y"), (LINK, "d/x/y/c", "../.."), (LINK, "d/a", "b/c/../..")],
        [(FOLDER, "d/x/y", ""), (LINK, "d/x/y/l", "../.."), (HARD, "d/m", "d/x/y/l")],
        [(LINK, "d", "a"), (FILE, "d/x", "")],
        [(FOLDER, "d/x", ""), (HARD, "d/h", "d/x")],
    ],
    ids=[
        "link to an absolute link",
        "link to a link that comes later",
        "back through a link to here",
        "back through two links",
        "another name of a link, higher up",
        "the root itself a link to a neighbour",
        "another name of a folder",
    ],
)
def test_links_through_links_lead_nowhere(tmp_path: Path, members: list[Member]) -> None:
    root = [] if members[0][1] == "d" else [(FOLDER, "d", "")]
    destination, _ = unpacked([*root, *members], tmp_path / "place")
    assert_contained(tmp_path / "place", destination)


def test_links_that_stay_within_are_kept(tmp_path: Path) -> None:
    members = [
        (FOLDER, "d", ""),
        (FILE, "d/x/file", ""),
        (LINK, "d/up", "x/file"),
        (LINK, "d/x/down", "../up"),
        (HARD, "d/x/same", "d/x/down"),
        (HARD, "d/copy", "d/x/file"),
    ]
    destination, warned = unpacked(members, tmp_path / "place")
    assert os.readlink(destination / "x" / "down") == os.readlink(destination / "x" / "same") == "../up"
    assert (destination / "x" / "same").read_text() == (destination / "copy").read_text() == "evil"
    assert (destination / "copy").stat().st_ino == (destination / "x" / "file").stat().st_ino
    assert warned == []


def test_a_link_alone_is_told_where_it_leads(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        unpack(packed([(LINK, "localtime", "/usr/share/zoneinfo/UTC")]), str(tmp_path / "localtime"), print)
    assert "/usr/share/zoneinfo/UTC" in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_a_member_cannot_say_more_of_itself_than_fits_in_memory(tmp_path: Path) -> None:
    """A header that claims to be long is not read: the sender decides how much it sends, not how much is kept."""
    head = tarfile.TarInfo("././@PaxHeader")
    head.type, head.size = tarfile.XHDTYPE, MAX_HEADER * 4
    stream = io.BytesIO(head.tobuf(tarfile.USTAR_FORMAT) + b"x" * (MAX_HEADER * 4))
    with pytest.raises((Failure, tarfile.TarError)):
        unpack(stream, str(tmp_path / "d"), print)
    assert stream.tell() <= MAX_HEADER + tarfile.BLOCKSIZE


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_a_mode_keeps_nothing_that_gives_rights(tmp_path: Path, kind: bytes) -> None:
    """Set-user-id, set-group-id and sticky are a stranger's, and end where the copy begins."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, type_ in (("root", tarfile.DIRTYPE), ("root/one", kind)):
            member = tarfile.TarInfo(name)
            member.type, member.mode = type_, 0o7755
            archive.addfile(member)
    made.seek(0)
    unpack(made, str(tmp_path / "d"), lambda _: None)
    assert [(tmp_path / name).stat().st_mode & 0o7777 for name in ("d", "d/one")] == [0o755, 0o755]
