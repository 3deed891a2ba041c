"""What the committer itself guards, below what the log lets through."""

from pathlib import Path

import pytest

from omnitide.store.committer import Committer
from omnitide.store.protocol import Batch, StaleEpoch


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


def test_the_last_batch_stays_whatever_is_to_be_forgotten(place: Path) -> None:
    committer = Committer(place, create=True, ballast_bytes=0)
    fill(committer, 3)
    committer.forget_below(4)
    committer.close()
    again = Committer(place, create=False, ballast_bytes=0)
    assert (again.tail.position, again.tail.batch_id) == (3, b"b3")
    again.close()
