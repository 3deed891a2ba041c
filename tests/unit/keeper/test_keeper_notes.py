"""The keeper's own log: a line for what happens, not for each time that it is tried again."""

import contextlib
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from omnitide.node.keeper import notes


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_said", {})


@contextlib.contextmanager
def standard_error(path: Path) -> Generator[None]:
    kept = os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.dup2(target, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(target)


def written(path: Path) -> list[str]:
    return [line.split(" ", 1)[1] for line in path.read_text().splitlines()]


def test_what_is_said_again_and_again_is_written_once(tmp_path: Path) -> None:
    with standard_error(tmp_path / "log"):
        for _ in range(100):
            notes.note("no room")
        notes.note("something else")
    assert written(tmp_path / "log") == ["no room", "something else"]


def test_it_is_written_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    with standard_error(tmp_path / "log"), monkeypatch.context() as patched:
        for minutes in (0, 4, 6):
            patched.setattr(notes.time, "monotonic", lambda: now + minutes * 60)  # noqa: B023
            notes.note("no room")
    assert written(tmp_path / "log") == ["no room", "no room"]


def test_what_is_remembered_of_it_is_bounded(tmp_path: Path) -> None:
    with standard_error(tmp_path / "log"):
        for number in range(1000):
            notes.note(f"line {number}")
    assert len(notes._said) <= 64
    assert len(written(tmp_path / "log")) == 1000
