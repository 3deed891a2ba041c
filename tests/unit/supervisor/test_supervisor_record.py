"""What is remembered on disk, and which process a number means."""

import json
import os
from pathlib import Path

import pytest

from omnitide.supervisor import identity, record
from omnitide.supervisor.places import Places


def test_a_record_is_replaced_in_one_step(tmp_path: Path) -> None:
    places = Places(str(tmp_path))
    record.write(places, json.dumps({"wanted": True}))
    before = os.stat(places.record)
    record.write(places, json.dumps({"wanted": False}))
    assert json.loads(Path(places.record).read_text()) == {"wanted": False}
    assert os.stat(places.record).st_ino != before.st_ino
    assert os.stat(places.record).st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["processes.json"]


def test_where_there_is_no_room_for_another_file_it_is_written_over(tmp_path: Path) -> None:
    places = Places(str(tmp_path))
    record.write(places, json.dumps({"wanted": True}))
    # As on a full disk: the file beside it cannot be made.
    Path(f"{places.record}.next").mkdir()
    before = os.stat(places.record)
    record.write(places, json.dumps({"wanted": False, "more": "x" * 1000}))
    assert json.loads(Path(places.record).read_text())["wanted"] is False
    after = os.stat(places.record)
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    record.write(places, json.dumps({}))
    assert json.loads(Path(places.record).read_text()) == {}, "nothing of the longer one is left"
    with pytest.raises(OSError):
        record.write(places, json.dumps({"more": "x" * record.BLOCK}))
    assert json.loads(Path(places.record).read_text()) == {}


def test_every_spelling_of_a_folder_is_the_same_place(tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    assert Places(str(link)).directory == Places(f"{folder}/../folder/").directory == str(folder)
    assert Places(str(folder)).same(str(link))
    assert not Places(str(folder)).same(str(tmp_path))
    assert not Places(str(folder)).same("a\0b")


def test_a_number_alone_is_no_process() -> None:
    mine = os.getpid()
    assert identity.same(mine, identity.mark(mine))
    boot, _, when = identity.mark(mine).partition(":")
    assert not identity.same(mine, f"{boot}:{int(when) + 1}"), "the number was used again"
    assert not identity.same(mine, f"another-boot:{when}")
    assert not identity.same(mine, "")
    assert not identity.same(0, "")
