"""Writing below a directory that somebody else may own, who is at work in it meanwhile."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from omnitide.node.provisions.tree import PathUnsafe, Tree


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """What a link leads to, outside of the directory."""
    path = tmp_path / "victim"
    path.write_text("untouched")
    path.chmod(0o600)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


def test_a_file_is_written_into_and_stays_the_same_file(home: Path) -> None:
    file = home / "file"
    file.write_text("older and longer")
    file.chmod(0o440)
    before = file.stat().st_ino
    with Tree(str(home)) as tree:
        tree.overwrite(("file",), b"newer")
    assert (file.read_bytes(), file.stat().st_ino, stat.S_IMODE(file.stat().st_mode)) == (b"newer", before, 0o440)


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_link_that_is_there_is_not_written_through(home: Path, victim: Path, where: str) -> None:
    if where == "file":
        (home / "file").symlink_to(victim)
        parts = ("file",)
    else:
        (home / "folder").symlink_to(victim.parent)
        parts = ("folder", "victim")
    with Tree(str(home)) as tree, pytest.raises(PathUnsafe):
        tree.overwrite(parts, b"newer")
    assert victim.read_text() == "untouched"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600


def _link(file: Path, victim: Path) -> None:
    file.symlink_to(victim)


def _hard_link(file: Path, victim: Path) -> None:
    file.hardlink_to(victim)


def _pipe(file: Path, victim: Path) -> None:
    os.mkfifo(file)


@pytest.mark.parametrize("instead", [_link, _hard_link, _pipe])
def test_what_is_swapped_in_after_the_file_was_looked_at_is_not_written_to(
    home: Path, victim: Path, instead: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner puts something else under the name between the look at the file and the writing."""
    file = home / "file"
    file.write_text("older")
    kept = home / "kept"
    real = os.fstat

    def swapping(fd: int) -> os.stat_result:
        status = real(fd)
        if not kept.exists():
            file.rename(kept)
            instead(file, victim)
        return status

    with Tree(str(home)) as tree:
        monkeypatch.setattr(os, "fstat", swapping)
        tree.overwrite(("file",), b"newer")
    monkeypatch.undo()
    assert kept.read_text() == "newer", "the file that was looked at is the one that was written"
    assert victim.read_text() == "untouched"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_what_is_no_file_is_refused(home: Path, kind: str) -> None:
    (os.mkfifo if kind == "fifo" else os.mkdir)(home / "it")
    with Tree(str(home)) as tree, pytest.raises(PathUnsafe):
        tree.overwrite(("it",), b"newer")
