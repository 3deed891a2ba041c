"""An error of a full disk says which."""

import errno
import os
from pathlib import Path

from omnitide.config import disks


def test_an_error_of_a_full_disk_names_the_folder_that_is_at_work(tmp_path: Path) -> None:
    bare = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    text = disks.words_of(bare, tmp_path / "not" / "there")
    assert text.startswith("No space left on device (the disk of ")
    assert str(tmp_path / "not" / "there") in text
    named = OSError(errno.ENOSPC, "", str(tmp_path / "outbox.db"))
    assert disks.words_of(named, tmp_path).startswith(f"{tmp_path}/outbox.db: No space left")


def test_another_error_is_told_as_it_is_where_there_is_room(tmp_path: Path) -> None:
    assert disks.full(tmp_path) is (disks.free_bytes(tmp_path) < disks.FULL_BYTES)
    if not disks.full(tmp_path):
        assert disks.words_of(ValueError("something else"), tmp_path) == "something else"


def test_a_place_that_is_no_folder_yet_has_the_room_of_where_it_will_be(tmp_path: Path) -> None:
    assert abs(disks.free_bytes(tmp_path / "a" / "b") - disks.free_bytes(tmp_path)) < 1 << 30
