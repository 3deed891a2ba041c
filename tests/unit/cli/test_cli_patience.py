"""Whoever waits for Nexus is told so once, and where Nexus says what is the matter."""

import threading

import pytest

from omnitide.cli import patience
from omnitide.cli.patience import Patience


def test_it_is_said_once_however_many_answers_are_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "AFTER_S", 0.001)
    said: list[str] = []
    both = threading.Barrier(2)
    told = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    one = Patience(say, "https://nexus:7777", "/var/log/nexus.log")

    def wait() -> None:
        both.wait(10)
        with one.waiting():
            assert told.wait(10)

    waiting = [threading.Thread(target=wait) for _ in range(2)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(10)
    assert len(said) == 1
    assert "Nexus at https://nexus:7777 has not answered" in said[0]
    assert said[0].endswith("is in /var/log/nexus.log")
