"""The journal on a disk without room: what cannot be written anew costs nothing, and lines to come have their room."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnitide.node.keeper.journal import Journal, read
from omnitide.node.keeper.run import Run
from support.small_disk import SmallDisk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes file systems")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    made = SmallDisk(tmp_path / "disk")
    yield made
    made.unmount()


@pytest.fixture
def journal(disk: SmallDisk) -> Iterator[Journal]:
    made = Journal(str(disk.path / "runs.journal"), "boot-1")
    yield made
    made.close()


def runs(count: int) -> list[Run]:
    return [Run(instance=f"run-{number}", attempt=1, name="a" * 100, labels={}) for number in range(count)]


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_that_cannot_be_written_anew_takes_neither_room_nor_descriptors(
    disk: SmallDisk, journal: Journal, capfd: pytest.CaptureFixture[str]
) -> None:
    many = runs(400)
    journal.started(many[0])
    disk.fill(but=40 << 10)
    room, descriptors = disk.left(), opened()
    assert room == 40 << 10
    for _ in range(3):
        assert not journal.rewrite(many)
        assert (disk.left(), opened()) == (room, descriptors)
        assert sorted(os.listdir(disk.path)) == ["filler", "runs.journal"]
    assert "the longer file is kept" in capfd.readouterr().err
    journal.started(many[1])
    assert list(read(str(disk.path / "runs.journal"))) == [many[0].key, many[1].key]
    disk.free()
    assert journal.rewrite(many)
    assert opened() == descriptors
    assert len(read(str(disk.path / "runs.journal"))) == len(many)


@pytest.mark.parametrize("anew", [False, True])
def test_room_is_laid_by_as_it_grows(disk: SmallDisk, journal: Journal, anew: bool) -> None:
    if anew:
        assert journal.rewrite(())
    path = disk.path / "runs.journal"
    first = path.stat().st_blocks * 512
    assert 0 < first < 256 << 10
    (run,) = runs(1)
    while path.stat().st_size < first * 3 // 4:
        journal.started(run)
    disk.fill()
    assert disk.left() == 0
    while path.stat().st_size <= first:
        journal.started(run)
