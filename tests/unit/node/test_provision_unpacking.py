"""Unpacking: whatever an archive holds, nothing is written outside of its directory, and all of it is bounded."""

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnitide.drivers.protocol import DriverError
from omnitide.node.provisions.fetching import CalledOff
from omnitide.node.provisions.tree import PathUnsafe, Tree, parts_of
from omnitide.node.provisions.unpacking import MAX_DIRECTORY, MAX_MEMBERS, unpack

MOST = 1 << 20
Change = Callable[[tarfile.TarInfo], None]


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return data.getvalue()


def unpacked(folder: Path, data: bytes, most: int = MOST, stop: threading.Event | None = None) -> Path:
    archive, into = folder / "archive", folder / "into"
    archive.write_bytes(data)
    with Tree(str(into)) as tree:
        unpack(archive, tree, (), most, stop or threading.Event())
    return into


def refusal(folder: Path, data: bytes, most: int = MOST) -> str:
    with pytest.raises(DriverError) as refused:
        unpacked(folder, data, most)
    assert refused.value.permanent
    return refused.value.cause


def directory_of(entries: int, *, name: bytes = b"") -> bytes:
    """A zip of nothing but its directory, whose end is of the old or the large kind as the number demands."""
    head = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0)
    size = entries * (len(head) + len(name))
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, size, 4)
    large += struct.pack("<4sLQL", b"PK\6\7", 0, 4 + size, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return b"PK\3\4" + (head + name) * entries + large + end


@pytest.mark.parametrize(("entries", "name"), [(MAX_MEMBERS + 1, b""), (MAX_DIRECTORY // 60_000 + 1, b"n" * 60_000)])
def test_a_zip_whose_directory_alone_would_fill_the_memory(tmp_path: Path, entries: int, name: bytes) -> None:
    data = directory_of(entries, name=name)
    tracemalloc.start()
    assert refusal(tmp_path, data) == "artifact-too-large"
    assert tracemalloc.get_traced_memory()[1] < MAX_DIRECTORY + (4 << 20), "no entry of it has been made"
    tracemalloc.stop()


def test_what_further_names_of_a_file_take_is_counted(tmp_path: Path) -> None:
    names = [entry(f"n{number}", type=tarfile.LNKTYPE, linkname="big") for number in range(2)]
    data = tar(entry("big", b"x" * (MOST // 2)), *names)
    assert refusal(tmp_path, data) == "artifact-too-large"


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, bz2.compress, lzma.compress])
def test_tar_in_every_form(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = tar(
        entry("./bin", type=tarfile.DIRTYPE, mode=0o755),
        entry("bin/run", b"#!/bin/sh\n", mode=0o4755),
        entry("bin/same", type=tarfile.LNKTYPE, linkname="bin/run"),
        entry("link", type=tarfile.SYMTYPE, linkname="bin/run"),
        entry("a/b/up", type=tarfile.SYMTYPE, linkname="../../bin/run"),
        entry("big", b"x" * 700_000),
    )
    into = unpacked(tmp_path, pack(data))
    assert (into / "bin/run").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((into / "bin/run").stat().st_mode) == 0o755, "no set-id bit"
    assert (into / "bin/same").stat().st_ino != (into / "bin/run").stat().st_ino
    assert (into / "a/b/up").resolve() == (into / "link").resolve() == into / "bin/run"
    assert (into / "big").stat().st_size == 700_000


def test_zip(tmp_path: Path) -> None:
    into = unpacked(tmp_path, zipped(("d/run", b"x", 0o100755), ("l", b"d/run", 0o120777), ("plain", b"y", 0)))
    assert stat.S_IMODE((into / "d/run").stat().st_mode) == 0o755
    assert os.readlink(into / "l") == "d/run"
    assert (into / "plain").read_bytes() == b"y"


@pytest.mark.parametrize(
    "data",
    [
        tar(entry("/etc/x", b"x")),
        tar(entry("../x", b"x")),
        tar(entry("a/../../x", b"x")),
        tar(entry("l", type=tarfile.SYMTYPE, linkname="/etc")),
        tar(entry("l", type=tarfile.SYMTYPE, linkname="..")),
        tar(entry("s", type=tarfile.SYMTYPE, linkname="."), entry("t", type=tarfile.SYMTYPE, linkname="s/s/../..")),
        tar(entry("d", type=tarfile.DIRTYPE), entry("l", type=tarfile.SYMTYPE, linkname="d"), entry("l/x", b"x")),
        tar(entry("h", type=tarfile.LNKTYPE, linkname="../../etc/passwd")),
        tar(entry("h", type=tarfile.LNKTYPE, linkname="not-there")),
        tar(entry("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
        tar(entry("pipe", type=tarfile.FIFOTYPE)),
        zipped(("../x", b"x", 0)),
        zipped(("/x", b"x", 0)),
        zipped(("l", b"/etc/passwd", 0o120777)),
        zipped(("l", b"../../x", 0o120777)),
    ],
)
def test_what_leads_out_is_refused(tmp_path: Path, data: bytes) -> None:
    assert refusal(tmp_path, data) == "artifact-unsafe"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "into"]


@pytest.mark.parametrize(
    "data",
    [
        tar(entry("big", b"x" * 5000)),
        gzip.compress(tar(entry("big", bytes(900_000)))),
        tar(*(entry(f"f{number}", b"x" * 600) for number in range(8))),
        zipped(("big", bytes(900_000), 0)),
    ],
)
def test_bombs_are_bounded(tmp_path: Path, data: bytes) -> None:
    assert refusal(tmp_path, data, most=4096) == "artifact-too-large"
    total = sum(path.stat().st_size for path in (tmp_path / "into").rglob("*") if path.is_file())
    assert total <= 4096


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    assert refusal(tmp_path, header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 16)) == "artifact-damaged"


@pytest.mark.parametrize(
    "data",
    [b"", b"plain text", b"\x1f\x8bnot gzip", b"PK\x03\x04junk", gzip.compress(tar(entry("x", b"x" * 4000)))[:60]],
    ids=["nothing", "text", "no-gzip", "no-zip", "torn-gzip"],  # gzip holds the time: by itself an id differs by worker
)
def test_what_is_no_archive_is_said_to_be_damaged(tmp_path: Path, data: bytes) -> None:
    assert refusal(tmp_path, data) == "artifact-damaged"


def test_it_can_be_called_off(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(CalledOff):
        unpacked(tmp_path, tar(entry("x", b"x")), stop=stop)


NAMES = st.text(alphabet="ab./", min_size=1, max_size=8)
ENTRIES = st.lists(
    st.one_of(
        st.builds(lambda name: entry(name, b"x"), NAMES),
        st.builds(lambda name, to: entry(name, type=tarfile.SYMTYPE, linkname=to), NAMES, NAMES),
        st.builds(lambda name, to: entry(name, type=tarfile.LNKTYPE, linkname=to), NAMES, NAMES),
        st.builds(lambda name: entry(name, type=tarfile.DIRTYPE), NAMES),
    ),
    max_size=8,
)


def is_loop(path: Path) -> bool:
    """Whether links lead round in circles, and so nowhere: by the kernel's word. (Python's `realpath` makes `/` of the
    link `a` to `a//`.)"""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@settings(max_examples=300, deadline=None)
@given(ENTRIES)
@example([entry("a", type=tarfile.SYMTYPE, linkname="a//")])
def test_nothing_is_ever_written_or_reached_outside(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "outside").write_text("mine")
        try:
            into = unpacked(folder, tar(*entries))
        except DriverError:
            into = folder / "into"
        assert sorted(path.name for path in folder.iterdir()) == ["archive", "into", "outside"]
        assert (folder / "outside").read_text() == "mine"
        for path in into.rglob("*"):
            if is_loop(path):
                continue
            real = path.resolve(strict=False)
            assert real == into or into in real.parents, f"{path} leads to {real}"


@pytest.mark.parametrize("path", ["/x", "../x", "a/../../b", "a/.."])
def test_paths_that_are_not_below(path: str) -> None:
    with pytest.raises(PathUnsafe):
        parts_of(path)


def test_a_file_takes_the_place_of_a_link_and_is_not_written_through_it(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    with Tree(str(tmp_path / "into")) as tree:
        os.symlink(tmp_path / "target", tmp_path / "into" / "l")
        os.symlink(tmp_path, tmp_path / "into" / "d")
        tree.file(("l",), (b"new",), 0o600)
        with pytest.raises(PathUnsafe):
            tree.file(("d", "x"), (b"new",), 0o600)
    assert (tmp_path / "target").read_text() == "mine"
    assert (tmp_path / "into" / "l").read_bytes() == b"new"
    assert not (tmp_path / "x").exists()
