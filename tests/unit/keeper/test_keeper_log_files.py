"""Log files: what is written is read, whatever is cut, rotated or cut off in between."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.node.keeper import log_format
from omnitide.node.keeper.log_format import HEADER, Frame
from omnitide.node.keeper.log_reader import LogReader
from omnitide.node.keeper.log_writer import LogWriter

frames = st.lists(
    st.builds(
        Frame,
        at_ms=st.integers(0, 2**63),
        stream=st.sampled_from([1, 2]),
        attempt=st.integers(1, 2**31 - 1),
        data=st.one_of(st.binary(min_size=1, max_size=40), st.sampled_from([b"\n", b"a\n", b"\n\n", b"x" * 65_536])),
    ),
    max_size=30,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def writer(directory: Path, *, max_bytes: int = 1 << 20, max_files: int = 3) -> LogWriter:
    return LogWriter(str(directory), max_bytes=max_bytes, max_files=max_files)


def write(log: LogWriter, what: list[Frame]) -> None:
    for frame in what:
        log.write(frame.stream, frame.data, frame.at_ms, frame.attempt)


def read(directory: Path, tail: int | None = None) -> list[Frame]:
    reader = LogReader(str(directory))
    if tail is not None:
        reader.skip_to_tail(tail)
    found: list[Frame] = []
    while part := reader.read():
        found += part
    reader.close()
    return found


def text(what: list[Frame]) -> bytes:
    return b"".join(frame.data for frame in what)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def fresh(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=scratch)) / "logs"


@given(what=frames)
def test_what_is_written_is_read(scratch, what):
    directory = fresh(scratch)
    log = writer(directory, max_bytes=8 << 20)
    write(log, what)
    assert read(directory) == what
    assert log.lost_bytes == 0


@given(what=frames, cut=st.integers(0, 2_000_000))
def test_a_file_cut_anywhere_gives_all_whole_frames_before_the_cut(what, cut):
    data = b"".join(log_format.header(f.stream, len(f.data), f.at_ms, f.attempt) + f.data for f in what)
    cut %= len(data) + 1
    found, consumed = log_format.parse(data[:cut])
    assert found == what[: len(found)]
    assert consumed == sum(HEADER.size + len(frame.data) for frame in found)
    if len(found) < len(what):
        assert consumed + HEADER.size + len(what[len(found)].data) > cut


@given(junk=st.binary(max_size=200))
def test_junk_is_never_taken_for_more_than_it_holds(junk):
    found, consumed = log_format.parse(junk)
    assert 0 <= consumed <= len(junk)
    assert sum(len(frame.data) for frame in found) <= len(junk)


def test_zeros_at_the_end_are_passed_over():
    whole = log_format.header(1, 2, 5, 1) + b"ok"
    assert log_format.parse(whole + bytes(4096)) == ([Frame(5, 1, 1, b"ok")], len(whole))


@given(what=frames, max_files=st.integers(1, 4))
def test_rotation_keeps_the_newest_within_its_bounds(scratch, what, max_files):
    directory = fresh(scratch)
    log = writer(directory, max_bytes=130_000, max_files=max_files)
    write(log, what)
    kept = read(directory)
    assert kept == what[len(what) - len(kept) :]
    files = list(directory.iterdir()) if directory.exists() else []
    assert len(files) <= max_files
    assert all(file.stat().st_size <= 130_000 for file in files)
    assert bool(kept) == bool(what)


@given(what=frames, lines=st.integers(0, 40), max_bytes=st.sampled_from([66_000, 1 << 20]))
def test_the_last_lines_are_those_of_the_text(scratch, what, lines, max_bytes):
    directory = fresh(scratch)
    write(writer(directory, max_bytes=max_bytes, max_files=100), what)
    *ended, unfinished = text(what).split(b"\n")
    whole = [line + b"\n" for line in ended] + ([unfinished] if unfinished else [])
    expected = b"".join(whole[max(0, len(whole) - lines) :]) if lines else b""
    assert text(read(directory, lines)) == expected


def test_the_same_file_is_continued_by_the_next_attempt(directory):
    log = writer(directory)
    log.write(1, b"one", 1, 1)
    log.close()
    log.write(1, b"two", 2, 2)
    assert [frame.data for frame in read(directory)] == [b"one", b"two"]
    assert len(list(directory.iterdir())) == 1


def test_another_writer_begins_a_file_of_its_own(directory):
    writer(directory).write(1, b"one", 1, 1)
    with (directory / "log-00000001").open("ab") as file:
        file.write(b"cut frame")
    writer(directory).write(1, b"two", 2, 2)
    assert sorted(os.listdir(directory)) == ["log-00000001", "log-00000002"]
    assert [frame.data for frame in read(directory)] == [b"one", b"two"]


def test_a_writer_that_goes_on_takes_a_half_written_frame_back(directory):
    log = writer(directory)
    log.write(1, b"one", 1, 1)
    log.close()
    with (directory / "log-00000001").open("ab") as file:
        file.write(log_format.header(1, 1000, 1, 1) + b"half")
    log.write(1, b"two", 2, 1)
    assert [frame.data for frame in read(directory)] == [b"one", b"two"]


def test_a_file_that_was_deleted_under_the_writer_is_begun_anew(directory):
    log = writer(directory)
    log.write(1, b"one", 1, 1)
    log.close()
    (directory / "log-00000001").unlink()
    log.write(1, b"two", 2, 1)
    assert [frame.data for frame in read(directory)] == [b"two"]


def test_output_that_cannot_be_written_is_counted_and_the_rest_goes_on(directory):
    directory.write_text("a file where the directory should be")
    log = writer(directory)
    log.write(1, b"lost", 1, 1)
    assert log.lost_bytes == 4
    directory.unlink()
    log.write(1, b"kept", 1, 1)
    assert [frame.data for frame in read(directory)] == [b"kept"]


def test_a_reader_goes_on_where_it_was(directory):
    log = writer(directory, max_bytes=130_000)
    reader = LogReader(str(directory))
    assert reader.read() == []
    seen: list[bytes] = []
    for number in range(500):
        log.write(1, b"%d" % number, number, 1)
        if number % 7 == 0:
            while part := reader.read():
                seen += [frame.data for frame in part]
    while part := reader.read():
        seen += [frame.data for frame in part]
    assert seen == [b"%d" % number for number in range(500)]
    assert reader.read() == []
    reader.close()


@given(what=frames, max_bytes=st.sampled_from([66_000, 1 << 20]), lines=st.none() | st.integers(0, 40), data=st.data())
def test_another_reader_goes_on_at_the_place_of_any_frame_with_every_byte_once(scratch, what, max_bytes, lines, data):
    """Over rotation, and also where the tail began within a frame: nothing twice, nothing lost."""
    directory = fresh(scratch)
    write(writer(directory, max_bytes=max_bytes, max_files=100), what)
    first = LogReader(str(directory))
    if lines is not None:
        first.skip_to_tail(lines)
    places = [first.place()]
    shown: list[Frame] = []
    while part := first.read():
        places += first.ends(part)
        shown += part
    first.close()
    assert len(places) == len(shown) + 1
    taken = data.draw(st.integers(0, len(shown)))
    place = log_format.place_of(places[taken].text())
    second = LogReader(str(directory))
    second.go_to(place)
    rest: list[Frame] = []
    while part := second.read():
        assert not second.gap
        rest += part
    second.close()
    assert shown[:taken] + rest == shown


def test_output_that_was_rotated_away_before_it_was_read_is_a_gap(directory):
    log = writer(directory, max_bytes=65_600, max_files=2)
    reader = LogReader(str(directory))
    log.write(1, b"first", 1, 1)
    assert reader.read()
    (end,) = reader.ends([Frame(1, 1, 1, b"first")])
    reader.close()
    for _ in range(4):
        log.write(1, b"x" * 65_536, 1, 1)  # each a file of its own
    later = LogReader(str(directory))
    later.go_to(end)
    assert later.read()
    assert later.gap
    assert later.read()
    assert not later.gap
    later.close()


@pytest.mark.parametrize("text", ["", "x", "1", "1-", "-1-2", "1-2-3-4", "1-2 ", "9999999999-1", "²-1"])
def test_what_is_no_place_is_refused(text):
    with pytest.raises(ValueError, match="no place"):
        log_format.place_of(text)


def test_a_place_that_this_log_has_never_come_to_is_refused(directory):
    writer(directory).write(1, b"one", 1, 1)
    reader = LogReader(str(directory))
    with pytest.raises(ValueError, match="not in this log"):
        reader.go_to(log_format.Place(2, 0))
    reader.close()


def test_a_reader_of_a_file_that_rotation_deleted_reads_it_to_its_end(directory):
    log = writer(directory, max_bytes=65_600, max_files=1)
    log.write(1, b"first", 1, 1)
    reader = LogReader(str(directory))
    assert [frame.data for frame in reader.read()] == [b"first"]
    log.write(1, b"second", 1, 1)
    log.write(1, b"x" * 65_536, 1, 1)  # a file of its own
    log.write(1, b"x" * 65_536, 1, 1)  # and another: the first two are gone
    assert len(list(directory.iterdir())) == 1
    assert [frame.data for frame in reader.read()] == [b"second"]
    assert [len(frame.data) for frame in reader.read()] == [65_536]
    reader.close()


def test_files_that_are_no_logs_are_left_alone(directory):
    writer(directory).write(1, b"one", 1, 1)
    for name in ("log-", "log-1x", "log-²", "other"):
        (directory / name).write_text("x")
    assert log_format.sequences(str(directory)) == [1]
    assert text(read(directory)) == b"one"


def gap_at_the_beginning(directory: Path, tail: int | None = None) -> bool:
    reader = LogReader(str(directory))
    if tail is not None:
        reader.skip_to_tail(tail)
    assert reader.read()
    gap = reader.gap
    reader.close()
    return gap


def test_a_beginning_that_was_rotated_away_is_told(directory: Path) -> None:
    log = writer(directory, max_bytes=4096, max_files=2)
    write(log, [Frame(1, 1, 1, b"line\n" * 10)])
    assert not gap_at_the_beginning(directory)
    write(log, [Frame(1, 1, 1, b"line\n" * 200) for _ in range(20)])
    assert gap_at_the_beginning(directory)
    assert gap_at_the_beginning(directory, tail=1_000_000)
    assert not gap_at_the_beginning(directory, tail=3), "nothing is missing of what was asked for"
