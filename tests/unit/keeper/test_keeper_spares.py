"""Spare directories: an empty one goes to the next instance, as good as new; one with a mark on it does not."""

import os
from pathlib import Path

import pytest

from omnitide.node.keeper import spares
from omnitide.node.keeper.spares import Spares


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "spare"
    store.mkdir(mode=0o700)
    return store


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir(mode=0o700)
    return work


def private(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def test_an_empty_directory_goes_to_the_next(store, work):
    kept = Spares(str(store))
    old = private(work / "old")
    inode = old.stat().st_ino
    assert kept.keep(str(old))
    assert not old.exists()
    new = work / "new"
    assert kept.take(str(new))
    status = new.stat()
    assert (status.st_ino, status.st_mode & 0o7777, os.listdir(new)) == (inode, 0o700, [])
    assert not kept.take(str(work / "third"))
    assert not (work / "third").exists()


def test_one_that_is_there_already_is_let_alone(store, work):
    kept = Spares(str(store))
    assert kept.keep(str(private(work / "old")))
    there = private(work / "web-1")
    inode = there.stat().st_ino
    assert not kept.take(str(there))
    assert there.stat().st_ino == inode
    assert kept.take(str(work / "web-2"))


def _file(path: Path) -> None:
    (path / "file").touch()


def _folder(path: Path) -> None:
    (path / ".hidden").mkdir()


def _opened(path: Path) -> None:
    path.chmod(0o750)


def _sticky(path: Path) -> None:
    path.chmod(0o2700)


def _attribute(path: Path) -> None:
    try:
        os.setxattr(path, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system keeps no attributes")


def _given_away(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a directory away")
    os.chown(path, 4711, -1)


def _other_group(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a directory away")
    os.chown(path, -1, 4711)


@pytest.mark.parametrize("mark", [_file, _folder, _opened, _sticky, _attribute, _given_away, _other_group])
def test_a_mark_on_it_keeps_it_from_being_kept(store, work, mark):
    kept = Spares(str(store))
    old = private(work / "old")
    mark(old)
    assert not kept.keep(str(old))
    assert old.exists()
    assert os.listdir(store) == []


def test_a_link_in_its_place_is_not_followed(store, work, tmp_path):
    elsewhere = private(tmp_path / "elsewhere")
    (work / "old").symlink_to(elsewhere)
    assert not Spares(str(store)).keep(str(work / "old"))
    assert elsewhere.exists()


def test_there_is_a_most_that_is_kept(store, work, monkeypatch):
    monkeypatch.setattr(spares, "MOST", 2)
    kept = Spares(str(store))
    assert [kept.keep(str(private(work / name))) for name in "abc"] == [True, True, False]
    assert sorted(os.listdir(work)) == ["c"]


def test_the_next_keeper_takes_them_over(store, work):
    before = Spares(str(store))
    for name in "ab":
        assert before.keep(str(private(work / name)))
    after = Spares(str(store))
    assert after.keep(str(private(work / "c")))
    assert [after.take(str(work / name)) for name in "defg"] == [True, True, True, False]


def test_one_that_has_vanished_is_not_given(store, work):
    kept = Spares(str(store))
    assert kept.keep(str(private(work / "old")))
    os.rmdir(store / os.listdir(store)[0])
    assert not kept.take(str(work / "new"))
