"""What the committer itself guards, below what the log lets through."""

import os
import shutil
from pathlib import Path

import pytest

from omnitide.store.committer import Committer
from omnitide.store.protocol import Batch, LogCorrupt, StaleEpoch


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "log"
    made.mkdir()
    return made


def fill(committer: Committer, count: int) -> None:
    for number in range(committer.tail.position, committer.tail.position + count):
        committer.append(Batch(committer.epoch, number, b"b%d" % (number + 1), [b"record %d" % (number + 1)]))


def test_a_writer_that_opens_again_finds_that_another_has_had_the_log(place: Path, tmp_path: Path) -> None:
    first = Committer(place, create=True, ballast_bytes=0)
    fill(first, 2)
    # Its store is closed, as after a failed write; the lock of the directory is taken by nobody in a copy's place.
    first.slot.retire()
    lock = place / "lock"
    lock.rename(tmp_path / "held")
    second = Committer(place, create=False, ballast_bytes=0)
    assert second.epoch > first.epoch
    fill(second, 1)
    second.close()
    with pytest.raises(StaleEpoch):
        first.ensure_open()
    with pytest.raises(StaleEpoch):
        first.append(Batch(first.epoch, 3, b"late", [b"late"]))
    first.close()
    third = Committer(place, create=False, ballast_bytes=0)
    assert third.tail.position == 3
    third.close()


def test_that_a_log_was_opened_is_remembered_through_a_power_loss(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The witness has it on the disk before anything is acknowledged: a store that is older than that is noticed."""
    first = Committer(place, create=True, ballast_bytes=0)
    fill(first, 2)
    first.close()
    shutil.copytree(place, tmp_path / "older")
    on_disk = (place / "witness").read_bytes()
    sync = os.fsync

    def seen(descriptor: int) -> None:
        nonlocal on_disk
        sync(descriptor)
        if os.path.samestat(os.fstat(descriptor), os.stat(place / "witness")):
            on_disk = (place / "witness").read_bytes()

    monkeypatch.setattr(os, "fsync", seen)
    second = Committer(place, create=False, ballast_bytes=0)
    left = on_disk  # what a power loss would leave of the witness now
    second.close()
    (tmp_path / "older" / "witness").write_bytes(left)
    with pytest.raises(LogCorrupt):
        Committer(tmp_path / "older", create=False, ballast_bytes=0)


def test_the_last_batch_stays_whatever_is_to_be_forgotten(place: Path) -> None:
    committer = Committer(place, create=True, ballast_bytes=0)
    fill(committer, 3)
    committer.forget_below(4)
    committer.close()
    again = Committer(place, create=False, ballast_bytes=0)
    assert (again.tail.position, again.tail.batch_id) == (3, b"b3")
    again.close()
