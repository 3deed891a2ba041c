"""Forgetting: what an instance left on disk goes away, at once or in a process apart, and never in a circle."""

import os
from pathlib import Path

import pytest

from omnitide.node.keeper.instance import Trash, erase
from omnitide.node.keeper.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(str(tmp_path / "keeper"))
    paths.prepare()
    return paths


@pytest.fixture
def spawned(monkeypatch) -> list[list[str]]:
    """The deletions that were asked for, in place of deleting."""
    commands: list[list[str]] = []

    def spawn(path: str, command: list[str], environment: dict[str, str], **_: object) -> int:
        commands.append(command)
        return 4711

    monkeypatch.setattr(os, "posix_spawn", spawn)
    return commands


def test_what_only_the_keeper_wrote_is_deleted_at_once(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "log-00000001").touch()
    assert erase(str(logs))
    assert not logs.exists()
    assert erase(str(logs))


def test_what_an_instance_has_filled_is_not(tmp_path):
    work = tmp_path / "work"
    (work / "deep").mkdir(parents=True)
    assert not erase(str(work))
    assert work.exists()


def test_it_is_moved_out_of_sight_and_deleted_by_another_process(paths, spawned):
    work = Path(paths.work_of("web-1"))
    (work / "deep").mkdir(parents=True)
    trash = Trash(paths)
    trash.put(str(work))
    assert not work.exists()
    assert spawned == [["rm", "-rf", "--", f"{paths.trash}/web-1~1"]]
    trash.put(str(work))  # nothing there: nothing to do
    assert len(spawned) == 1


def test_what_comes_while_it_works_is_deleted_next(paths, spawned):
    trash = Trash(paths)
    for name in ("a", "b"):
        Path(paths.work_of(name), "deep").mkdir(parents=True)
        trash.put(paths.work_of(name))
    assert len(spawned) == 1
    os.renames(f"{paths.trash}/a~1/deep", f"{paths.directory}/gone")
    trash.buried(1)  # another child
    assert len(spawned) == 1
    trash.buried(4711)
    assert spawned[1:] == [["rm", "-rf", "--", f"{paths.trash}/b~2"]]


def test_what_cannot_be_deleted_is_left_instead_of_tried_without_end(paths, spawned):
    trash = Trash(paths)
    Path(paths.work_of("a"), "deep").mkdir(parents=True)
    trash.put(paths.work_of("a"))
    trash.buried(4711)
    assert len(spawned) == 1
    assert os.listdir(paths.trash) == ["a~1"]


def test_a_name_in_the_trash_is_not_taken_twice(paths, spawned):
    Path(paths.trash, "a~1").mkdir()
    Path(paths.work_of("a"), "deep").mkdir(parents=True)
    Trash(paths).put(paths.work_of("a"))
    assert sorted(os.listdir(paths.trash)) == ["a~1", "a~2"]


def test_a_directory_open_to_others_is_closed(tmp_path):
    directory = tmp_path / "keeper"
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    Paths(str(directory)).prepare()
    assert directory.stat().st_mode & 0o777 == 0o700
    Paths(str(directory)).open_to_other_users()
    Paths(str(directory)).prepare()
    assert directory.stat().st_mode & 0o777 == 0o711
