"""What a node proxy says of itself in its data folder."""

import json
import os
from pathlib import Path

import pytest

from omnitide.node.telling import READY_FILE, Telling


def telling(folder: Path) -> Telling:
    return Telling(folder, "n-1", "alpha", lambda: "127.0.0.1:7401")


def told(folder: Path) -> dict[str, object]:
    return json.loads((folder / READY_FILE).read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("omnitide.node.telling.write_private", refuse)


def test_it_says_who_it_is_and_whether_nexus_has_welcomed_it(folder: Path) -> None:
    one = telling(folder)
    one.begin()
    said = told(folder)
    assert (said["pid"], said["name"], said["connected"], said["leaving"]) == (os.getpid(), "alpha", False, False)
    one.welcomed()
    assert told(folder)["connected"] is True
    one.leaving()
    assert (told(folder)["connected"], told(folder)["leaving"]) == (True, True)
    one.end()
    assert not (folder / READY_FILE).exists()


def test_a_full_disk_costs_the_file_and_not_the_node(folder: Path) -> None:
    (folder / READY_FILE).write_text(json.dumps({"pid": 1, "connected": True}))
    one = telling(folder)
    with pytest.MonkeyPatch.context() as patched:
        full(folder, patched)
        one.begin()
        assert not (folder / READY_FILE).exists(), "what the process before said would be believed"
        one.welcomed()
    one.welcomed()
    assert told(folder)["connected"] is True


def test_a_disk_that_fills_up_later_leaves_what_was_said(folder: Path) -> None:
    one = telling(folder)
    one.begin()
    with pytest.MonkeyPatch.context() as patched:
        full(folder, patched)
        one.welcomed()
    assert told(folder)["connected"] is False
    one.welcomed()
    assert told(folder)["connected"] is True
