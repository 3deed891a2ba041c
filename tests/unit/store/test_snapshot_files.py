"""Snapshots on the disk: complete or not there, and damage is found before it is relied upon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from omnitide.store.protocol import LogCorrupt, LogMissing, SnapshotInfo, TrimRefused
from omnitide.store.snapshots import SnapshotFiles

LOG_ID = "0123456789abcdef0123456789abcdef"


def files(path: Path, log_id: str = LOG_ID) -> SnapshotFiles:
    return SnapshotFiles(path / "snapshots", log_id)


def only_file(path: Path) -> Path:
    (file,) = (path / "snapshots").iterdir()
    return file


def test_what_a_crash_left_half_saved_is_removed_and_never_seen(tmp_path: Path) -> None:
    snapshots = files(tmp_path)

    def dying() -> Iterator[bytes]:
        yield b"x" * 100_000
        # The process dies here: what is on the disk now is what the next one finds.
        (half,) = (tmp_path / "snapshots").iterdir()
        (tmp_path / "left").write_bytes(half.read_bytes())
        names.append(half.name)
        yield b"y"

    names: list[str] = []
    snapshots.save(9, dying())
    only_file(tmp_path).unlink()
    (tmp_path / "snapshots" / names[0]).write_bytes((tmp_path / "left").read_bytes())

    again = files(tmp_path)
    assert again.all() == []
    assert list((tmp_path / "snapshots").iterdir()) == []


@pytest.mark.parametrize("chunks", [[b"one", b"two" * 1000], [b""], []], ids=["chunks", "empty chunk", "none"])
def test_every_flipped_bit_is_found(tmp_path: Path, chunks: list[bytes]) -> None:
    info = files(tmp_path).save(5, chunks)
    file = only_file(tmp_path)
    whole = file.read_bytes()
    for at in {*range(0, len(whole), 97), *range(40), *range(len(whole) - 56, len(whole))}:
        if not 0 <= at < len(whole):
            continue
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        file.write_bytes(damaged)
        with pytest.raises(LogCorrupt) as damage:
            list(files(tmp_path).chunks(info))
        assert damage.value.position == 5
    file.write_bytes(whole)
    assert list(files(tmp_path).chunks(info)) == chunks


@pytest.mark.parametrize("length", [0, 10, 60, -1])
def test_a_file_that_is_cut_off_is_listed_as_not_verified(tmp_path: Path, length: int) -> None:
    info = files(tmp_path).save(5, [b"chunk" * 100])
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes()[:length])
    (listed,) = files(tmp_path).all()
    assert (listed.position, listed.verified) == (5, False)
    with pytest.raises(LogCorrupt):
        list(files(tmp_path).chunks(info))


def test_damage_that_a_load_found_is_remembered(tmp_path: Path) -> None:
    snapshots = files(tmp_path)
    info = snapshots.save(5, [b"chunk" * 100])
    file = only_file(tmp_path)
    damaged = bytearray(file.read_bytes())
    damaged[100] ^= 1
    file.write_bytes(damaged)
    assert snapshots.all() == [info], "the frame is whole, so the listing cannot know yet"
    with pytest.raises(LogCorrupt):
        list(snapshots.chunks(info))
    assert [each.verified for each in snapshots.all()] == [False]
    assert snapshots.save(5, [b"chunk" * 100]) == info
    assert snapshots.all() == [info]


def test_a_trim_reads_the_snapshots_that_it_relies_upon(tmp_path: Path) -> None:
    snapshots = files(tmp_path)
    for position in (3, 6, 9):
        snapshots.save(position, [b"state at %d" % position * 50])
    assert snapshots.two_verified(3).position == 6
    middle = tmp_path / "snapshots" / f"{6:020d}.snapshot"
    damaged = bytearray(middle.read_bytes())
    damaged[100] ^= 1
    middle.write_bytes(damaged)
    assert snapshots.two_verified(3).position == 3
    with pytest.raises(TrimRefused, match="there are 1"):
        snapshots.two_verified(4)


def test_snapshots_of_another_log_are_not_ours(tmp_path: Path) -> None:
    files(tmp_path, "f" * 32).save(5, [b"x"])
    assert [each.verified for each in files(tmp_path).all()] == [False]


def test_files_that_are_no_snapshots_are_left_alone(tmp_path: Path) -> None:
    snapshots = files(tmp_path)
    stranger = tmp_path / "snapshots" / "notes.snapshot"
    stranger.write_text("mine")
    assert snapshots.all() == []
    snapshots.remove_older_than(100)
    assert stranger.exists()
    with pytest.raises(LogMissing):
        list(snapshots.chunks(SnapshotInfo(1, 1, "sha256:00", True)))
